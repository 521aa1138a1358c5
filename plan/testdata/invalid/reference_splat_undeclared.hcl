# want: 9,35-41: Reference to an undeclared attribute
level "one" {
  service "a" {
    boot { command = ["true"] }
    count = 2

  }
}
output "x" { value = service.a[*].adress }
