# want: 6,17-19: Invalid duration
level "one" {
  service "a" {
    boot {
      command = ["x"]
      timeout = 10
    }

  }
}
