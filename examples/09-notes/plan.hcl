# The same system that plans/dispatch brings up on a fleet, as processes of this machine.

description = "Notes: a registry, two stores and two web servers on this machine"

variable "ports" {
  type        = map(number)
  default     = { registry = 8610, store_0 = 8611, store_1 = 8612, web_0 = 8613, web_1 = 8614, counter = 8615 }
  description = "Where they listen"
}

locals {
  at     = { for name, port in var.ports : name => "127.0.0.1:${port}" }
  config = { PROCESS_CONFIG = "config.json" }
}

level "registry" {
  service "registry" {
    attributes = { endpoint = local.at.registry }

    file "config.json" {
      content = jsonencode({ id = "registry", listen = local.at.registry })
    }
    process {
      command = [executable("registry")]
      env     = local.config
    }
    ready {
      http { url = "http://${self.endpoint}/healthz" }
    }
  }
}

level "storage" {
  # What clients must know to write. It is in no log, no argv and not in the state store.
  service "token" {
    boot {
      script = <<-EOT
        echo "token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" > "$LAUNCH_EXPORTS"
      EOT
    }
    export "token" {
      type      = string
      sensitive = true
    }
  }
}

level "stores" {
  service "store" {
    count = 2

    attributes = { endpoint = local.at["store_${count.index}"] }

    file "config.json" {
      content = jsonencode({
        id         = "store-${count.index}"
        listen     = self.endpoint
        registries = [service.registry.endpoint]
        token      = service.token.token
      })
    }
    process {
      command = [executable("store")]
      env     = local.config
    }
    ready {
      http {
        url  = "http://${self.endpoint}/healthz"
        body = "store-${count.index} is well"
      }
    }
  }
}

level "front" {
  service "web" {
    count = 2

    attributes = { url = "http://${local.at["web_${count.index}"]}" }

    file "config.json" {
      content = jsonencode({
        id         = "web-${count.index}"
        listen     = local.at["web_${count.index}"]
        registries = [service.registry.endpoint]
        token      = service.token.token
        stores     = length(service.store)
      })
    }
    process {
      command = [executable("web")]
      env     = local.config
    }
    ready {
      http { url = "${self.url}/healthz" }
    }
  }

  service "counter" {
    file "config.json" {
      content = jsonencode({ id = "counter", listen = local.at.counter, registries = [service.registry.endpoint] })
    }
    process {
      command = [executable("counter")]
      env     = local.config
    }
    ready {
      http { url = "http://${local.at.counter}/healthz" }
    }
  }
}

level "check" {
  service "round_trip" {
    ready {
      command = concat([executable("roundtrip")], service.web[*].url)
      env     = { NOTES_TOKEN = service.token.token }
    }
  }
}

output "web" { value = service.web[*].url }
output "count" { value = "http://${local.at.counter}/count" }
