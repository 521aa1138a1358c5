# want: 4,30-31: Missing item separator
level "one" {
  service "a" {
    boot { command = ["true" }
  }
}
