# want: more.hcl:1,1-12: Level outside of plan.hcl
level "one" {
}
