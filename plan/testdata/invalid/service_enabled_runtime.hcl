# want: 9,15-38: Value not known ahead
level "one" {
  service "a" {
    boot { command = ["true"] }
  }
}
level "two" {
  service "b" {
    enabled = service.a.address != ""
    boot { command = ["true"] }
  }
}
