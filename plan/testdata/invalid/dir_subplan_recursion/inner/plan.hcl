level "back" {
  plan = "../main"
}
