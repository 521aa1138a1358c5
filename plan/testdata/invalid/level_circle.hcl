# want: 2,1-12: Circle of levels
level "one" {
  after = [level.three]
}
level "two" {
}
level "three" {
}
