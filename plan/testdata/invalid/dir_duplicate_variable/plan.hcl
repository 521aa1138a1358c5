# want: more.hcl:1,1-13: Duplicate variable
variable "x" { default = 1 }
output "x" { value = var.x }
