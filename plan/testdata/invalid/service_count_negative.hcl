# want: 5,13-15: Number out of range
level "one" {
  service "a" {
    boot { command = ["true"] }
    count = -1
  }
}
