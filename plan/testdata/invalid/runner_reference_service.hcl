# want: 3,10-24: Reference out of place
runner "ssh" "r" {
  user = service.a.name
}
level "one" {
  service "a" {
    boot { command = ["true"] }

  }
}
