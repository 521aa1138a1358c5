# want: 5,13-16: Number out of range
level "one" {
  service "a" {
    boot { command = ["true"] }
    count = 1e9
  }
}
