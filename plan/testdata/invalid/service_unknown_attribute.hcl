# want: 5,5-10: Unknown attribute
level "one" {
  service "a" {
    boot { command = ["true"] }
    hosts = "x"
  }
}
