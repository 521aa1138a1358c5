# want: 5,7-14: Circle of locals
locals {
  a = local.b
  b = local.c
  c = local.a
}
output "x" { value = local.a }
