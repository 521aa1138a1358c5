# want: 2,80-91: Value too large
output "x" { value = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : 1]]] }
