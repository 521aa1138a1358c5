# want: 2,36-45: Invalid function argument
output "x" { value = fileset(".", "*.{sh,py}") }
