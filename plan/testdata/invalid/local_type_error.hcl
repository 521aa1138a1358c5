# want: 3,11-14: Invalid operand
locals {
  a = 1 + "x"
}
output "x" { value = local.a }
