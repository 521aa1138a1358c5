# want: 6,22-27: Sensitive output in the open
variable "p" {
  default   = "secret"
  sensitive = true
}
output "x" { value = var.p }
