# want: 5,23-27: Invalid type specification
level "one" {
  service "a" {
    boot { command = ["true"] }
    exports = { url = text }
  }
}
