# want: 3,10-19: Plan contains itself
level "sub" {
  plan = "../main"
}
