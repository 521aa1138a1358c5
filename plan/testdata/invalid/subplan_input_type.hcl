# want: 4,32-37: Input of another type
level "sub" {
  plan   = "../child"
  inputs = { url = "x", size = "big" }
}
output "f" { value = level.sub.first }
