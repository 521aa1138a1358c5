# want: 5,14-24: Incomplete reference
level "one" {
  service "a" {
    boot { command = ["true"] }
    runner = runner.ssh
  }
}
