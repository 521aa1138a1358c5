# want: 6,21-26: Value of another type
variable "size" {
  default = 1
  validation {
    condition     = var.size > 0
    error_message = ["x"]
  }
}
output "size" { value = var.size }
