# want: 14,46-49: Reference to an undeclared attribute; 15,64-71: Reference to an undeclared attribute; 15,90-92: Reference to an undeclared attribute
variable "n" { type = number }
level "one" {
  service "a" {
    count = var.n
    boot { command = ["true"] }
    exports = { url = string }
  }
  service "b" {
    for_each = { x = "y" }
    boot { command = ["true"] }
  }
}
output "x" { value = [for s in service.a : s.ulr] }
output "y" { value = { for k, s in service.b : "${k}-${upper(s.nothing)}" => s.name if s.no != k } }
output "z" { value = [for s in service.a : [for s in ["a"] : upper(s.whatever)]] }
output "fine" { value = flatten([for s in service.a : [for t in service.b : "${s.url}${t.address}"]]) }
