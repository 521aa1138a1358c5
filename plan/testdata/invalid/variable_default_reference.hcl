# want: 3,26-31: Reference in a constant
variable "y" { default = 1 }
variable "x" { default = var.y }
output "x" { value = "${var.x}${var.y}" }
