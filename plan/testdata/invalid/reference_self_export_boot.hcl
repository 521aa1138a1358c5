# want: 5,25-33: Export used before it is known
level "one" {
  service "a" {
    boot {
      command = ["run", self.url]
    }
    exports = { url = string }

  }
}
