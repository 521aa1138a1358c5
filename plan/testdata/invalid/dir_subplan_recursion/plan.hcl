# want: inner/plan.hcl:2,10-19: Plan contains itself
level "sub" {
  plan = "../inner"
}
