# want: 3,3-9: Inputs without a plan
level "sub" {
  inputs = { x = 1 }
}
