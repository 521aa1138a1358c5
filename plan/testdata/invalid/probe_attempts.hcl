# want: 7,18-19: Number out of range
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      tcp      = "a:1"
      attempts = 0
    }

  }
}
