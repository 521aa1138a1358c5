# want: more.hcl:2,7-14: Reference to an undeclared local
output "x" { value = local.x }
