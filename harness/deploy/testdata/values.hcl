# want: 11: Number out of range
# want: 12: Wrong duration
# want: 13: Wrong type
# want: 18: Number out of range
# want: 19: Wrong type
# want: 23: Wrong broker URL
# want: 27: Second broker
# want: 30: Two default engines
# want: 34: Impossible engine
engine "default" {
  slots     = 0
  heartbeat = "soon"
  warning   = "many"
  default   = true
}
node "one" {
  agent "one-a" {
    slots      = 1.5
    properties = "ssd"
  }
}
broker {
  url = "nats://user:secret@host:4222"
  tls {}
}

broker { url = "nats://host:4222" }


engine "fast" {
  default = true
}

engine "late" {
  warning = 5
  missing = 2
}
