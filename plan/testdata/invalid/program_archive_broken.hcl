# want: 5,17-32: Program cannot be used
level "one" {
  service "a" {
    boot {
      program = "broken.tar.gz"
    }

  }
}
