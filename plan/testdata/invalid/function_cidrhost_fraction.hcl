# want: 2,45-48: Invalid function argument
output "x" { value = cidrhost("10.0.0.0/8", 1.5) }
