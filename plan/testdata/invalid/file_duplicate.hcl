# want: 6,5-13: Duplicate file
level "one" {
  service "a" {
    boot { command = ["true"] }
    file "x" { content = "a" }
    file "x" { content = "b" }
  }
}
