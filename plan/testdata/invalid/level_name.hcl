# want: 2,7-16: Invalid name
level "one two" {
}
