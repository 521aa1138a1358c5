# want: 3,13-20: Value of another type
level "one" {
  enabled = "maybe"
}
