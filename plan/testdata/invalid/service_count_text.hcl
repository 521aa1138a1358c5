# want: 5,13-19: Value of another type
level "one" {
  service "a" {
    boot { command = ["true"] }
    count = "many"
  }
}
