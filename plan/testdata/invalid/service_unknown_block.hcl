# want: 5,5-9: Unknown block
level "one" {
  service "a" {
    boot { command = ["true"] }
    redy { tcp = "a:1" }
  }
}
