# want: 8,16-19: Invalid regular expression
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      http {
        url  = "http://localhost/"
        body = "("
      }
    }

  }
}
