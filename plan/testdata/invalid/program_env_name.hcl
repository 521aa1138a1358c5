# want: 6,17-32: Invalid environment name
level "one" {
  service "a" {
    boot {
      command = ["x"]
      env     = { "A-B" = "x" }
    }

  }
}
