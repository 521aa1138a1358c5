# want: 7,7-11: Attribute without a program
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      tcp  = "a:1"
      args = ["x"]
    }

  }
}
