# want: 7,17-21: Invalid mode
level "one" {
  service "a" {
    boot { command = ["true"] }
    file "x" {
      content = "a"
      mode    = "rw"
    }
  }
}
