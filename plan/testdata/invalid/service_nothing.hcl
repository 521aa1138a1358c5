# want: 3,3-14: Service that does nothing
level "one" {
  service "a" {

  }
}
