# want: 9,5-10: Pool without a host
runner "ec2" "w" {
  image = "ami"
  pool { size = 2 }
}
level "one" {
  service "a" {
    runner = runner.ec2.w
    ready { command = ["true"] }
  }
}
