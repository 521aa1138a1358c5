# want: 2,1-13: Missing variable
variable "x" { type = string }
output "x" { value = var.x }
