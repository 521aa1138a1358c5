# want: 5,10-16: Invalid file name
level "one" {
  service "a" {
    boot { command = ["true"] }
    file "../x" { content = "x" }
  }
}
