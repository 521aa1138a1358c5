# want: 7,18-24: Invalid duration
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      tcp      = "a:1"
      interval = "soon"
    }

  }
}
