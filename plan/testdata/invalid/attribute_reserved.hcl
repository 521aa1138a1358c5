# want: 5,20-27: Reserved name
level "one" {
  service "a" {
    boot { command = ["true"] }
    attributes = { address = "x" }
  }
}
