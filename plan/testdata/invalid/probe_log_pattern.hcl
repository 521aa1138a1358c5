# want: 6,13-16: Invalid regular expression
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      log = "("
    }

  }
}
