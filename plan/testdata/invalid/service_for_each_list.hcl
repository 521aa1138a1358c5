# want: 5,16-26: Map or set expected
level "one" {
  service "a" {
    boot { command = ["true"] }
    for_each = ["a", "b"]
  }
}
