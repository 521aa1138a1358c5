# want: 5,26-35: Value of another type
level "one" {
  service "a" {
    boot { command = ["true"] }
    file "x" { content = { a = 1 } }
  }
}
