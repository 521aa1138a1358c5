# want: 7,14-23: Reference out of place
runner "ssh" "r" {}
level "one" {
  service "a" {
    boot { command = ["true"] }
    runner = runner.ssh.r
    host   = self.name
  }
}
