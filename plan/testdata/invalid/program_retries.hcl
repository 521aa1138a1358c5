# want: 6,17-19: Number out of range
level "one" {
  service "a" {
    boot {
      command = ["x"]
      retries = -1
    }

  }
}
