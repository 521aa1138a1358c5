# want: 3,10-15: Invalid type specification
variable "x" {
  type = strng
  default = "a"
}
output "x" { value = var.x }
