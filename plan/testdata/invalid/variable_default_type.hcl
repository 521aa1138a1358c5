# want: 4,13-19: Default of another type
variable "x" {
  type    = number
  default = "many"
}
output "x" { value = var.x }
