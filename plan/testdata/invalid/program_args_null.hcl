# want: 6,17-28: Null in a list
level "one" {
  service "a" {
    boot {
      program = "boot.sh"
      args    = ["a", null]
    }

  }
}
