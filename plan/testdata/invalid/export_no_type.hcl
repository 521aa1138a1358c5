# want: 5,5-15: Missing attribute
level "one" {
  service "a" {
    boot { command = ["true"] }
    export "n" {
    }
  }
}
