# want: 4,3-13: Missing attribute
variable "x" {
  default = 0
  validation {
    condition = var.x > 0
  }
}
output "x" { value = var.x }
