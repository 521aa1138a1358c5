variable "size" {
  default = 0
  validation {
    condition     = var.size > 0
    error_message = "At least one is needed."
  }
}
level "core" {
  service "app" {
    count = var.size
    boot { command = ["true"] }
  }
}
