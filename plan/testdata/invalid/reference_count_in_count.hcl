# want: 5,13-24: Reference out of place
level "one" {
  service "a" {
    boot { command = ["true"] }
    count = count.index
  }
}
