# want: 12,10-19: Pool without a host
runner "ec2" "w" {
  image = "ami"
  pool { size = 2 }
}
level "one" {
  service "a" { runner = runner.ec2.w }
}
level "two" {
  service "b" {
    # of an earlier level
    on = service.a
    boot { command = ["true"] }
  }
}
