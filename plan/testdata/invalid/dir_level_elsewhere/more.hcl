level "two" {
}
