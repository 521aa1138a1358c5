# want: 6,3-4: Duplicate local
locals {
  x = 1
}
locals {
  x = 2
}
output "x" { value = local.x }
