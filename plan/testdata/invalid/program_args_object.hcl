# want: 6,17-26: Value of another type
level "one" {
  service "a" {
    boot {
      program = "boot.sh"
      args    = { a = 1 }
    }

  }
}
