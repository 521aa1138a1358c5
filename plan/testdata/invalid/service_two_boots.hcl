# want: 5,5-9: Duplicate block
level "one" {
  service "a" {
    boot { command = ["true"] }
    boot { command = ["true"] }

  }
}
