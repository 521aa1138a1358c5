# want: 2,22-29: Unknown reference
output "x" { value = run.nme }
