# want: 4,5-20: Files without a program
level "one" {
  service "a" {
    file "check.sh" { source = "boot.sh" }
    ready { command = ["sh", "check.sh"] }
  }
}
