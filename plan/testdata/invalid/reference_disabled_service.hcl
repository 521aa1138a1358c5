# want: 9,31-39: Reference to what is left out
level "one" {
  service "a" {
    boot { command = ["true"] }
    enabled = false

  }
}
output "x" { value = service.a.address }
