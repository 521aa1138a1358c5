# want: 3,1-11: Duplicate output
output "x" { value = 1 }
output "x" { value = 2 }
