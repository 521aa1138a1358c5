# want: 2,22-36: Reference to an undeclared service
output "x" { value = service.db.url }
