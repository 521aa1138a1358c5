# want: 9,32-35: Reference to an undeclared attribute
level "one" {
  service "a" {
    boot { command = ["true"] }
    exports = { url = string }

  }
}
output "x" { value = service.a.ulr }
