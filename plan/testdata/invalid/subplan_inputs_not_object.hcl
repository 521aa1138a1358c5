# want: 4,12-32: Object expected
level "sub" {
  plan   = "../child"
  inputs = merge({ url = "x" })
}
output "f" { value = level.sub.first }
