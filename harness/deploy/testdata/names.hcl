# want: 7: Duplicate name
# want: 8: Duplicate name
# want: 9: Impossible name
# want: 10: Impossible name
dispatcher "pd" {}
node "one" { 
  agent "pd" {}
  agent "one" {}
  agent "a b" {}
  agent "broker" {}
}
