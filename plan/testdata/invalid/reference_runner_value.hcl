# want: 3,22-34: Runner out of place
runner "ssh" "r" {}
output "x" { value = runner.ssh.r }
