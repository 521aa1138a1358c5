# want: 3,10-16: Value of another type
runner "ssh" "r" {
  port = "many"
}
