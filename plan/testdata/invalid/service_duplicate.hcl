# want: 8,3-14: Duplicate service
level "one" {
  service "a" {
    boot { command = ["true"] }
  }
}
level "two" {
  service "a" {
    boot { command = ["true"] }
  }
}
