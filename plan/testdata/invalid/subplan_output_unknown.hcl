# want: 7,32-37: Reference to an undeclared output
level "sub" {
  plan   = "../child"
  inputs = { url = "x" }
}
output "f" { value = level.sub.first }
output "g" { value = level.sub.frist }
