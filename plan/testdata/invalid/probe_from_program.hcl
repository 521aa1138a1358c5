# want: 7,7-11: Attribute without a network probe
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      command = ["x"]
      from    = "here"
    }

  }
}
