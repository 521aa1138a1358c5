# want: 2,22-36: Value too large
output "x" { value = "${1e1000000}" }
