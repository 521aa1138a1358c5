# want: 2,1-12: Output out of reach
level "sub" {
  plan   = "../child"
  inputs = { url = "x" }
}
