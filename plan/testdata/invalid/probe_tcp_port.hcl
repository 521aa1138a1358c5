# want: 6,13-29: Invalid address
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      tcp = "localhost:http"
    }

  }
}
