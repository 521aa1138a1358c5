# want: 5,17-28: Program cannot be used
level "one" {
  service "a" {
    boot {
      program = "plain.txt"
    }

  }
}
