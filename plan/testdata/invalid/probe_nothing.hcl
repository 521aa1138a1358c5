# want: 5,5-10: Probe that checks nothing
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      timeout = "1m"
    }

  }
}
