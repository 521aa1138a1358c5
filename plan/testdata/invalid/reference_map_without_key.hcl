# want: 9,22-39: Service with several instances
level "one" {
  service "a" {
    boot { command = ["true"] }
    for_each = toset(["x"])

  }
}
output "x" { value = service.a.address }
