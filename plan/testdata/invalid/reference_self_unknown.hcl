# want: 5,22-33: Reference to an undeclared attribute
level "one" {
  service "a" {
    boot { command = ["true"] }
    ready { tcp = "${self.adress}:80" }
  }
}
