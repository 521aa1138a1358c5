# want: 3,12-21: Level after itself
level "one" {
  after = [level.one]
}
