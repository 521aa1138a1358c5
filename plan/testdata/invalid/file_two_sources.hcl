# want: 5,5-13: File without one source
level "one" {
  service "a" {
    boot { command = ["true"] }
    file "x" {
      content = "a"
      source  = "plain.txt"
    }
  }
}
