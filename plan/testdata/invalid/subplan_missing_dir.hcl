# want: 3,10-22: Plan cannot be opened
level "sub" {
  plan = "../nowhere"
}
