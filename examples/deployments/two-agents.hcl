# Two agents on one node: when an agent dies, the other goes on, and the processes
# of both do.

engine "default" {
  slots     = 4
  base_need = 1
}

dispatcher "pd" {}

node "one" {
  agent "one-a" {}
  agent "one-b" {
    slots = 8
  }
}
