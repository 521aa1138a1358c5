# want: 5,3-14: Parallelism of a plan
level "sub" {
  plan        = "../child"
  inputs      = { url = "x" }
  parallelism = 2
}
output "f" { value = level.sub.first }
