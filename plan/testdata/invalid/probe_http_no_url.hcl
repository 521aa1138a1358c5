# want: 6,7-11: Missing attribute
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready {
      http { status = 200 }
    }

  }
}
