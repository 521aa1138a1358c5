# Two engines: processes choose with "--constraint engine=fast", and, among the
# agents of an engine, by their properties: "--constraint disk=ssd".

engine "default" {
  slots     = 4
  base_need = 1
}

engine "fast" {
  slots       = 16
  spare_slots = 4
  maximum     = 10
  heartbeat   = "500ms"
}

dispatcher "pd" {}

node "one" {
  engine = "default"
  agent "one-a" {}
}

node "two" {
  engine     = "fast"
  properties = { rack = "b" }
  agent "two-a" {
    properties = { disk = "ssd" }
  }
  agent "two-b" {
    properties = { disk = "hdd" }
  }
}
