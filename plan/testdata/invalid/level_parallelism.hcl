# want: 3,17-18: Number out of range
level "one" {
  parallelism = 0
}
