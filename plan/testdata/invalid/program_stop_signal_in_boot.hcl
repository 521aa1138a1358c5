# want: 6,7-18: Unknown attribute
level "one" {
  service "a" {
    boot {
      command     = ["x"]
      stop_signal = "SIGINT"
    }

  }
}
