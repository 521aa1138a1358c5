# want: 5,21-26: Condition without an answer
variable "x" {
  default = 0
  validation {
    condition     = var.x
    error_message = "No."
  }
}
output "x" { value = var.x }
