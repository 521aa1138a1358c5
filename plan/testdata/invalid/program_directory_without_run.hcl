# want: 5,17-24: Program cannot be used
level "one" {
  service "a" {
    boot {
      program = "empty"
    }

  }
}
