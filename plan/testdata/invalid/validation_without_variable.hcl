# want: 5,21-26: Condition without its variable
variable "x" {
  default = 0
  validation {
    condition     = 1 > 0
    error_message = "No."
  }
}
output "x" { value = var.x }
