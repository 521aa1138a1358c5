# want: 5,17-34: Program cannot be used
level "one" {
  service "a" {
    boot {
      program = "boot/nothing.sh"
    }

  }
}
