# want: 5,18-38: Object expected
level "one" {
  service "a" {
    boot { command = ["true"] }
    attributes = merge({ a = 1 }, {})
  }
}
