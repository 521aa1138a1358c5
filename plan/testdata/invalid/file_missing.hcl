# want: 5,25-38: Source cannot be used
level "one" {
  service "a" {
    boot { command = ["true"] }
    file "x" { source = "nothing.txt" }
  }
}
