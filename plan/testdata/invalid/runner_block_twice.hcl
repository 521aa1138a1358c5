# want: 5,3-6: Duplicate block
runner "ec2" "r" {
  image = "x"
  ssh {}
  ssh {}
}
