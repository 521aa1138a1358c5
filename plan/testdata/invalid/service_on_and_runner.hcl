# want: 11,5-11: Attributes that exclude each other
runner "ssh" "r" {}
level "one" {
  service "a" {
    boot { command = ["true"] }
  }
}
level "two" {
  service "b" {
    on     = service.a
    runner = runner.ssh.r
    boot { command = ["true"] }
  }
}
