# want: 7,3-14: Pool without a host
runner "ec2" "w" {
  image = "ami"
  pool { size = 2 }
}
level "one" {
  service "a" {
    runner = runner.ec2.w
    boot { command = ["true"] }
  }
}
