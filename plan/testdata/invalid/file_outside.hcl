# want: 5,25-44: Source cannot be used
level "one" {
  service "a" {
    boot { command = ["true"] }
    file "x" { source = "../child/plan.hcl" }
  }
}
