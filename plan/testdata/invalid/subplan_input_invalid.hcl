# want: 4,25-29: Invalid value for a variable
level "sub" {
  plan   = "../child"
  inputs = { url = "x", size = 50 }
}
output "f" { value = level.sub.first }
