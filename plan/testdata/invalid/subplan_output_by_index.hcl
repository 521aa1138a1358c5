# want: 10,37-47: Reference to an undeclared output

level "apps" {
  plan   = "../child"
  inputs = { url = "x" }
}

output "first" { value = level.apps["first"] }

output "second" { value = level.apps["second"] }
