# want: 6,7-13: Two programs
level "one" {
  service "a" {
    boot {
      command = ["x"]
      script  = "y"
    }

  }
}
