level "core" {
  service "a" {
    boot { program = "boot.sh" }
  }
}
