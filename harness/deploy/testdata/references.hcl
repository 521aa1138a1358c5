# want: 8: Duplicate engine
# want: 11: Unknown engine
# want: 12: Unknown engine
# (All references are resolved at the end, so these come last.)
engine "default" {}
engine "fast" {}
dispatcher "pd" {}
engine "fast" {}

node "one" {
  engine = "turbo"
  agent "one-a" { engine = "warp" }
}
