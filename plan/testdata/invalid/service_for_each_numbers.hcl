# want: 5,16-29: Map or set expected
level "one" {
  service "a" {
    boot { command = ["true"] }
    for_each = toset([1, 2])
  }
}
