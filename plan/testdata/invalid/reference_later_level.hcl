# want: 4,30-47: Reference to a later level
level "one" {
  service "a" {
    boot { command = ["run", service.b.address] }
  }
}
level "two" {
  service "b" {
    boot { command = ["true"] }
  }
}
