# want: 5,14-21: Runner expected
level "one" {
  service "a" {
    boot { command = ["true"] }
    runner = "local"
  }
}
