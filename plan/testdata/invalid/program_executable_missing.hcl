# want: 5,18-29: Error in function call
level "one" {
  service "a" {
    boot {
      command = [executable("nothing")]
    }

  }
}
