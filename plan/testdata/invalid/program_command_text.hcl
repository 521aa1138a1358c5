# want: 5,17-29: Value of another type
level "one" {
  service "a" {
    boot {
      command = "echo hello"
    }

  }
}
