# want: 2,22-27: Unknown reference
output "x" { value = vra.x }
