# want: 5,17-19: Empty command
level "one" {
  service "a" {
    boot {
      command = []
    }

  }
}
