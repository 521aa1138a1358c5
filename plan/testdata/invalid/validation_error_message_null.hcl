# want: 6,21-25: Null value
variable "size" {
  default = 1
  validation {
    condition     = var.size > 0
    error_message = null
  }
}
output "size" { value = var.size }
