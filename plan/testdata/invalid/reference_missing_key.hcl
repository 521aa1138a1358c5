# want: 9,31-36: Invalid index
level "one" {
  service "a" {
    boot { command = ["true"] }
    for_each = toset(["x"])

  }
}
output "x" { value = service.a["y"].address }
