# want: 5,13-17: Null value
level "one" {
  service "a" {
    boot { command = ["true"] }
    count = null
  }
}
