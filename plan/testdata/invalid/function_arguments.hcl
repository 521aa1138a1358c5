# want: 2,34-35: Too many function arguments
output "x" { value = upper("x", "y") }
