# want: 5,15-24: Value of another type
level "one" {
  service "a" {
    boot { command = ["true"] }
    enabled = "perhaps"
  }
}
