# want: 5,12-22: Host without a runner that reaches it
level "one" {
  service "a" {
    boot { command = ["true"] }
    host = "10.0.0.5"
  }
}
