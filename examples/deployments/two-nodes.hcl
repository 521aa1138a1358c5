# Two nodes: take one away with "epuharness kill node two", and its processes are
# started on the other within some two seconds.

engine "default" {
  slots     = 8
  base_need = 2
  heartbeat = "500ms"
}

dispatcher "pd" {}

node "one" {
  agent "one-a" {}
}

node "two" {
  agent "two-a" {}
}
