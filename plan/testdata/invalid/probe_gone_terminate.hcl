# want: 7,7-16: Unknown attribute
level "one" {
  service "a" {
    boot { command = ["true"] }
    gone {
      tcp       = "a:1"
      terminate = true
    }

  }
}
