# want: 7,14-16: Invalid host
runner "ssh" "r" {}
level "one" {
  service "a" {
    boot { command = ["true"] }
    runner = runner.ssh.r
    host   = ""
  }
}
