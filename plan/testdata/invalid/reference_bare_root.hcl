# want: 2,22-25: Incomplete reference
output "x" { value = var }
