# want: 11,14-19: Sensitive value in the open
runner "ssh" "r" {}
variable "h" {
  default   = "host"
  sensitive = true
}
level "one" {
  service "a" {
    boot { command = ["true"] }
    runner = runner.ssh.r
    host   = var.h
  }
}
