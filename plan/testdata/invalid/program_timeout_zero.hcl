# want: 6,17-21: Duration out of range
level "one" {
  service "a" {
    boot {
      command = ["x"]
      timeout = "0s"
    }

  }
}
