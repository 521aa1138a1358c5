# want: 5,16-17: Map or set expected
level "one" {
  service "a" {
    boot { command = ["true"] }
    for_each = 5
  }
}
