# want: inner/plan.hcl:3,22-31: Program cannot be used
level "sub" {
  plan = "../inner"
}
