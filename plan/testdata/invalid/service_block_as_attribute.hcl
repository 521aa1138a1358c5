# want: 4,5-9: Unknown attribute
level "one" {
  service "a" {
    boot = { command = ["true"] }
    ready { tcp = "localhost:80" }
  }
}
