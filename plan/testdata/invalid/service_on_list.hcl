# want: 10,10-19: Service expected
level "one" {
  service "a" {
    count = 2
    boot { command = ["true"] }
  }
}
level "two" {
  service "b" {
    on = service.a
    boot { command = ["true"] }
  }
}
