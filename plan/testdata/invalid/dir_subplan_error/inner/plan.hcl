level "core" {
  service "a" {
    boot { command = ["x", var.nothing] }
  }
}
