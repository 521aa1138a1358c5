# want: 6,17-24: Value of another type
level "one" {
  service "a" {
    boot {
      command = ["x"]
      env     = ["A=1"]
    }

  }
}
