# want: 9,22-42: Splat of a map
level "one" {
  service "a" {
    boot { command = ["true"] }
    for_each = toset(["x"])

  }
}
output "x" { value = service.a[*].address }
