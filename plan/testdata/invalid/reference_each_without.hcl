# want: 5,24-32: Reference out of place
level "one" {
  service "a" {
    boot { command = ["true"] }
    attributes = { n = each.key }
  }
}
