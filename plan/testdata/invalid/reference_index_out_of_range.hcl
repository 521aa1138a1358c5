# want: 9,31-34: Invalid index
level "one" {
  service "a" {
    boot { command = ["true"] }
    count = 2

  }
}
output "x" { value = service.a[2].address }
