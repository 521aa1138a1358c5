# want: 3,3-6: Unknown attribute
runner "ssh" "r" {
  usr = "x"
}
