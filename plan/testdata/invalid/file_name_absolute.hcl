# want: 5,10-23: Invalid file name
level "one" {
  service "a" {
    boot { command = ["true"] }
    file "/etc/passwd" { content = "x" }
  }
}
