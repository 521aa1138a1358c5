# want: 5,12-21: Reference to an undeclared level
level "one" {
}
level "two" {
  after = [level.oen]
}
