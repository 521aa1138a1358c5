# want: 6,20-36: Invalid URL
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      http { url = "localhost:8080" }
    }

  }
}
