# want: 3,7-14: Circle of locals
locals {
  a = local.a
}
output "x" { value = local.a }
