# want: 6,17-29: Invalid duration
level "one" {
  service "a" {
    boot {
      command = ["x"]
      timeout = "10 minutes"
    }

  }
}
