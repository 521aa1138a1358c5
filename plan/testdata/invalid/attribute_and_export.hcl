# want: 6,20-23: Name used twice
level "one" {
  service "a" {
    boot { command = ["true"] }
    attributes = { url = "x" }
    exports    = { url = string }
  }
}
