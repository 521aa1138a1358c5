# want: 2,10-14: Invalid name
variable "1x" { default = 1 }
