# want: 4,19-22: Log probe without a program
level "one" {
  service "a" {
    ready { log = "x" }

  }
}
