# want: 3,10-20: No plan in this directory
level "sub" {
  plan = "../inner"
}
