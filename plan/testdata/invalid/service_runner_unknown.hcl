# want: 6,14-29: Reference to an undeclared runner
runner "ssh" "rack" {}
level "one" {
  service "a" {
    boot { command = ["true"] }
    runner = runner.ssh.rock
    host   = "h"
  }
}
