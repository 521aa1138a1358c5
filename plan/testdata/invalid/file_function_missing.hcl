# want: 5,26-31: Error in function call
level "one" {
  service "a" {
    boot { command = ["true"] }
    file "x" { content = file("nothing.txt") }
  }
}
