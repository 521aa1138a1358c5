# want: 9,22-39: Service with several instances
level "one" {
  service "a" {
    boot { command = ["true"] }
    count = 2

  }
}
output "x" { value = service.a.address }
