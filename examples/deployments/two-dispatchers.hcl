# Two dispatchers: one leads; kill it, and the other leads within three seconds.

engine "default" {
  slots     = 8
  base_need = 1
  heartbeat = "500ms"
}

dispatcher "pd-1" {}
dispatcher "pd-2" {}

node "one" {
  agent "one-a" {}
}

node "two" {
  agent "two-a" {}
}
