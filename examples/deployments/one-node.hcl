# The deployment that epuharness start uses without a file: one of each.

engine "default" {
  slots     = 4
  base_need = 1
}

dispatcher "pd" {}

node "one" {
  agent "one-a" {}
}
