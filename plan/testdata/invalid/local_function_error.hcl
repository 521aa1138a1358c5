# want: 3,17-21: Invalid function argument
locals {
  a = tonumber("five")
}
output "x" { value = local.a }
