# want: 5,26-39: Error in function call
level "one" {
  service "a" {
    boot { command = ["true"] }
    file "x" { content = templatefile("greeting.tmpl", { nme = "x" }) }
  }
}
