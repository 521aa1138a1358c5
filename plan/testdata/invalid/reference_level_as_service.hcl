# want: 7,22-45: Reference to an undeclared service
level "storage" {
  service "db" {
    boot { command = ["true"] }
  }
}
output "x" { value = service.storage.address }
