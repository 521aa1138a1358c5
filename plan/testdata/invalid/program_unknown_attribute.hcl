# want: 5,7-13: Unknown attribute
level "one" {
  service "a" {
    boot {
      comand = ["x"]
    }

  }
}
