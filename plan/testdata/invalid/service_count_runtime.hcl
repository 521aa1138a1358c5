# want: 10,13-24: Value not known ahead
level "one" {
  service "a" {
    boot { command = ["true"] }
    exports = { n = number }
  }
}
level "two" {
  service "b" {
    count = service.a.n
    boot { command = ["true"] }
  }
}
