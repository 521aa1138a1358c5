# want: 4,1-1: Not UTF-8

level "a" {
  description = "café"
  service "s" {
    boot { script = "true é" }
  }
}
