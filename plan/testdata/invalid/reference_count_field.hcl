# want: 6,24-33: Unknown reference
level "one" {
  service "a" {
    boot { command = ["true"] }
    count      = 2
    attributes = { n = count.idx }
  }
}
