# want: 5,11-20: List of levels expected
level "one" {
}
level "two" {
  after = level.one
}
