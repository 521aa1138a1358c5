# want: 3,17-20: Number out of range
level "one" {
  parallelism = 1.5
}
