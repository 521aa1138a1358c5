# want: 6,5-13: Attributes that exclude each other
level "one" {
  service "a" {
    boot { command = ["true"] }
    count    = 1
    for_each = toset(["a"])
  }
}
