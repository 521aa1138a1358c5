# want: 5,17-36: Program cannot be used
level "one" {
  service "a" {
    boot {
      program = "../child/plan.hcl"
    }

  }
}
