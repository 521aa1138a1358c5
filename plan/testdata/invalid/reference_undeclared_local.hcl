# want: 2,22-35: Reference to an undeclared local
output "x" { value = local.nothing }
