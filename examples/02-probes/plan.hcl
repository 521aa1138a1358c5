description = "A registry that counts as ready only when it answers"

variable "listen" {
  type        = string
  default     = "127.0.0.1:8600"
  description = "Where it listens"
}

level "registry" {
  service "registry" {
    file "config.json" {
      content = jsonencode({ listen = var.listen })
    }
    process {
      command = [executable("registry")]
      env     = { PROCESS_CONFIG = "config.json" }
    }

    # All of them must hold, and are looked at again by every status.
    ready {
      log = "^listening on "
    }
    ready {
      tcp = var.listen
    }
    ready {
      http {
        url  = "http://${var.listen}/healthz"
        body = "is well"
      }
      timeout = "30s"
    }
    ready {
      script   = "grep -q listen config.json"
      interval = "200ms"
    }

    # And this must hold before it counts as terminated.
    gone {
      tcp     = var.listen
      timeout = "10s"
    }
  }
}
