# want: 5,5-10: Several probes in one block
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      tcp     = "a:1"
      command = ["x"]
    }

  }
}
