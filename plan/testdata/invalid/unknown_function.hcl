# want: 2,22-26: Call to unknown function
output "x" { value = uper("x") }
