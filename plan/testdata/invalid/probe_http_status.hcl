# want: 8,18-20: Number out of range
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      http {
        url    = "http://localhost/"
        status = 42
      }
    }

  }
}
