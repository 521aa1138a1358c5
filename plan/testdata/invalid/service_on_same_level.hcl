# want: 7,10-19: Reference within a level
level "one" {
  service "a" {
    boot { command = ["true"] }
  }
  service "b" {
    on = service.a
    boot { command = ["true"] }

  }
}
