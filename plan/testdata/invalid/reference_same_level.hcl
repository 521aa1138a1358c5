# want: 7,30-47: Reference within a level
level "one" {
  service "a" {
    boot { command = ["true"] }
  }
  service "b" {
    boot { command = ["run", service.a.address] }
  }
}
