# want: 8,22-42: Service with one instance
level "one" {
  service "a" {
    boot { command = ["true"] }

  }
}
output "x" { value = service.a[0].address }
