# want: 8,17-22: User data without a pool
runner "ec2" "w" {
  image = "ami"
}
level "one" {
  service "a" {
    runner    = runner.ec2.w
    user_data = "abc"
  }
}
