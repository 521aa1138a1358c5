# want: 3,22-39: Reference to an undeclared variable
variable "count_of_webs" { default = 1 }
output "x" { value = var.cuont_of_webs }
output "y" { value = var.count_of_webs }
