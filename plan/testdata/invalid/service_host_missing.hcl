# want: 4,3-14: Missing host
runner "ssh" "r" {}
level "one" {
  service "a" {
    boot { command = ["true"] }
    runner = runner.ssh.r
  }
}
