# want: 6,21-30: Unknown signal
level "one" {
  service "a" {
    process {
      command     = ["x"]
      stop_signal = "SIGTREM"
    }

  }
}
