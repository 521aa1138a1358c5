# want: 6,7-10: Unknown attribute
level "one" {
  service "a" {
    boot { command = ["true"] }
    gone {
      log = "x"
    }

  }
}
