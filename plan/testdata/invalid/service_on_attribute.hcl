# want: 9,20-27: Service expected
level "one" {
  service "a" {
    boot { command = ["true"] }
  }
}
level "two" {
  service "b" {
    on = service.a.address
    boot { command = ["true"] }
  }
}
