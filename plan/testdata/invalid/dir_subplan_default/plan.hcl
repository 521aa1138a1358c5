# want: 3,10-20: Invalid value for a variable
level "sub" {
  plan = "../inner"
}
