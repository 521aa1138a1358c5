# want: 12,1-14: Level later than it needs to be
level "one" {
  service "a" {
    boot { command = ["true"] }
  }
}
level "two" {
  service "b" {
    boot { command = ["true"] }
  }
}
level "three" {
  service "c" {
    boot { command = ["run", service.a.address] }
  }
}
