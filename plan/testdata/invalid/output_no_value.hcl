# want: 2,1-11: Missing attribute
output "x" {
}
