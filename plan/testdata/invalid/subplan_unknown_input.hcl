# want: 4,25-29: Unknown input
level "sub" {
  plan   = "../child"
  inputs = { url = "x", sise = 2 }
}
output "f" { value = level.sub.first }
