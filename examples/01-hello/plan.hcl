level "hello" {
  service "greeting" {
    boot { script = "echo hello, world" }
  }
}
