# want: 7,14-21: Unknown place
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      tcp  = "a:1"
      from = "there"
    }

  }
}
