# want: 11,30-47: Reference to a later level
level "one" {
  after = []
  service "a" {
    boot { command = ["run", service.b.address] }
  }
}
level "two" {
  after = []
  service "b" {
    boot { command = ["run", service.a.address] }
  }
}
