# want: 5,24-35: Reference out of place
level "one" {
  service "a" {
    boot { command = ["true"] }
    attributes = { n = count.index }
  }
}
