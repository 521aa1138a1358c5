# want: 2,22-33: Unknown reference
output "x" { value = path.module }
