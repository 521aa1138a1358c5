# want: 5,36-50: Reference out of place
variable "x" {
  default = 0
  validation {
    condition     = var.x > length(service.a.name)
    error_message = "No."
  }
}
output "x" { value = var.x }
level "one" {
  service "a" {
    boot { command = ["true"] }

  }
}
