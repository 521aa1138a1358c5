# want: 6,7-14: Unknown attribute
level "one" {
  service "a" {
    process {
      command = ["x"]
      timeout = "1m"
    }

  }
}
