# want: inner/plan.hcl:3,28-39: Reference to an undeclared variable
level "sub" {
  plan = "../inner"
}
