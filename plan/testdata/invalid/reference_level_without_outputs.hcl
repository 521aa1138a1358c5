# want: 7,22-35: Level without outputs
level "one" {
  service "a" {
    boot { command = ["true"] }
  }
}
output "x" { value = level.one.url }
