description = "Files that a service finds in its work directory"

variable "name" {
  type    = string
  default = "world"
}

locals {
  greetings = ["hello", "good morning", "good evening"]
}

level "files" {
  service "letter" {
    file "settings.json" {
      content = jsonencode({ name = var.name, greetings = length(local.greetings) })
    }
    file "letter.txt" {
      content = templatefile("letter.tmpl", { name = var.name, greetings = local.greetings })
    }
    file "bin/show.sh" {
      source = "show.sh"
      mode   = "0700"
    }

    boot { command = ["./bin/show.sh", "letter.txt", "settings.json"] }
  }
}
