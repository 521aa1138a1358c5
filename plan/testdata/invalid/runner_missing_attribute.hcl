# want: 2,1-17: Missing attribute
runner "ec2" "r" {
}
