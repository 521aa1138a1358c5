# want: 7,11-17: Attribute that depends on another one
level "one" {
  service "a" {
    boot { command = ["true"] }
    attributes = {
      a = 1
      b = self.a
    }
  }
}
