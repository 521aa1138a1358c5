# want: 5,3-14: Both a plan and services
level "sub" {
  plan   = "../child"
  inputs = { url = "x" }
  service "a" {
    boot { command = ["true"] }
  }
}
output "f" { value = level.sub.first }
