# want: 5,21-30: Invalid value for a variable
variable "x" {
  default = 0
  validation {
    condition     = var.x > 0
    error_message = "It must be positive."
  }
}
output "x" { value = var.x }
