# want: 5: Unsupported block type
# want: 8: Unsupported argument
# want: 10: Broker without url
# want: 15: Second tls block
cluster "x" {}
dispatcher "pd" {}
node "one" {
  colour = "red"
}
broker {
  tls {
    cert = "client.pem"
    key  = "client.key"
  }
  tls { ca = "ca.pem" }
}
