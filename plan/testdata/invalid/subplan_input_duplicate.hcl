# want: 4,25-28: Duplicate input
level "sub" {
  plan   = "../child"
  inputs = { url = "x", url = "y" }
}
output "f" { value = level.sub.first }
