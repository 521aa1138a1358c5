description = "Greets people, and tells whom"

variable "greeting" { type = string }

variable "to" { type = list(string) }

level "greet" {
  service "person" {
    for_each = toset(var.to)

    boot {
      script = "echo \"$GREETING, $NAME\""
      env    = { GREETING = var.greeting, NAME = each.key }
    }
  }
}

output "greeted" { value = sort(keys(service.person)) }
