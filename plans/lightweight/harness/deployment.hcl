# Two virtual nodes with an agent each, so that replicas stand on different nodes and one node
# can fail: epuharness kill node two

engine "default" {
  slots     = 8
  base_need = 2
}

dispatcher "pd" {}

node "one" {
  agent "one-a" {}
}

node "two" {
  agent "two-a" {}
}
