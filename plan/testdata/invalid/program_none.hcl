# want: 4,5-9: No program
level "one" {
  service "a" {
    boot {
      timeout = "1m"
    }

  }
}
