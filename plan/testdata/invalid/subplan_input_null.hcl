# want: 4,20-24: Null value
level "sub" {
  plan   = "../child"
  inputs = { url = null }
}
output "f" { value = level.sub.first }
