# want: 6,13-24: Invalid address
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      tcp = "localhost"
    }

  }
}
