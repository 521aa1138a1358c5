# want: 3,10-15: Constant text expected
level "sub" {
  plan = var.x
}
