# want: 2,8-13: Unknown runner type
runner "shh" "r" {}
