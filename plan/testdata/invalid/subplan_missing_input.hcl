# want: 3,12-22: Missing input
level "sub" {
  plan   = "../child"
  inputs = {  }
}
output "f" { value = level.sub.first }
