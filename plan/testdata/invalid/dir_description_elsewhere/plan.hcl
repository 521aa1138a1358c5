# want: more.hcl:1,1-12: Attribute outside of plan.hcl
level "one" {
}
