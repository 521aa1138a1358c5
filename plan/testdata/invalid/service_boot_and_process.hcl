# want: 5,5-12: Both boot and process
level "one" {
  service "a" {
    boot { command = ["true"] }
    process { command = ["sleep", "60"] }

  }
}
