# want: 3,1-13: Duplicate variable
variable "x" { default = 1 }
variable "x" { default = 2 }
output "x" { value = var.x }
