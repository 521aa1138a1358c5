# want: 2,30-42: Invalid function argument
output "x" { value = format("%1000000000d", 5) }
