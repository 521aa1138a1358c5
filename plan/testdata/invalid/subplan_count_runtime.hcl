# want: child/plan.hcl:13,13-21: Value not known ahead
level "one" {
  service "a" {
    boot { command = ["true"] }
    exports = { n = number }
  }
}
level "sub" {
  plan   = "../child"
  inputs = { url = "x", size = service.a.n }
}
output "f" { value = level.sub.first }
