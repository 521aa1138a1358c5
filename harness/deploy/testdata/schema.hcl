# want: 4: Unsupported block type
# want: 7: Unsupported argument
# want: 9: Broker without url
cluster "x" {}
dispatcher "pd" {}
node "one" {
  colour = "red"
}
broker {}
