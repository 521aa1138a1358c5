# want: 7,17-20: Default of another type
level "one" {
  service "a" {
    boot { command = ["true"] }
    export "n" {
      type    = number
      default = "x"
    }
  }
}
