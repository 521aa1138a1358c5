# want: 2,1-13: Unused variable
variable "x" { default = 1 }
