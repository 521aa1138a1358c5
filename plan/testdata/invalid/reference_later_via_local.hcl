# want: 7,30-37: Reference to a later level
locals {
  b = service.b.address
}
level "one" {
  service "a" {
    boot { command = ["run", local.b] }
  }
}
level "two" {
  service "b" {
    boot { command = ["true"] }
  }
}
