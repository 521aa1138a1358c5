# want: 5,16-29: Invalid key
level "one" {
  service "a" {
    boot { command = ["true"] }
    for_each = { "a b" = 1 }
  }
}
