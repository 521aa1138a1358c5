# want: 2,1-7: Unknown block
servce "a" {}
level "x" {
}
