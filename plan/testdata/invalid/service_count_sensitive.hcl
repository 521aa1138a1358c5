# want: 9,13-18: Sensitive value in the open
variable "n" {
  default   = 2000
  sensitive = true
}
level "one" {
  service "a" {
    boot { command = ["true"] }
    count = var.n
  }
}
