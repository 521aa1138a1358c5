# want: 5,12-17: Level expected
level "one" {
}
level "two" {
  after = ["one"]
}
