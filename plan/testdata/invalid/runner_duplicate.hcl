# want: 3,1-17: Duplicate runner
runner "ssh" "r" {}
runner "ssh" "r" {}
