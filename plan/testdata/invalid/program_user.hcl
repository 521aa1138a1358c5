# want: 6,17-22: Invalid user name
level "one" {
  service "a" {
    boot {
      command = ["x"]
      user    = "a b"
    }

  }
}
