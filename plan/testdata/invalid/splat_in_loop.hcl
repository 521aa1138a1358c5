# want: 14,45-49: Reference to an undeclared attribute; 16,32-49: Splat of a map

level "one" {
  service "a" {
    count = 2
    boot { command = ["true"] }
  }
  service "b" {
    for_each = { x = 1 }
    boot { command = ["true"] }
  }
}

output "x" { value = [for n in service.a[*].nope : n] }

output "y" { value = [for n in service.b[*].name : n] }
