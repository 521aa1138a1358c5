# want: 4,3-14: Service that does nothing
runner "ssh" "w" {}
level "one" {
  service "a" {
    runner = runner.ssh.w
    host   = "10.0.0.5"
  }
}
