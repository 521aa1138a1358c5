# want: 6,17-37: Reserved environment name
level "one" {
  service "a" {
    boot {
      command = ["x"]
      env     = { LAUNCH_RUN = "x" }
    }

  }
}
