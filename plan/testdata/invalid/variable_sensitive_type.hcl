# want: 4,15-21: true or false expected
variable "x" {
  default   = 1
  sensitive = "very"
}
output "x" { value = var.x }
