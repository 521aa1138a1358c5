# want: 4,1-12: Duplicate level
level "one" {
}
level "one" {
}
