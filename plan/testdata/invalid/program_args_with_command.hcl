# want: 6,7-11: Arguments beside a command
level "one" {
  service "a" {
    boot {
      command = ["x"]
      args    = ["y"]
    }

  }
}
