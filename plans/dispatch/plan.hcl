# A small distributed system, brought up as processes of a dispatcher: registries, replicated
# stores and web servers, each level with the addresses that the one before it found.
#
# It takes only where to dispatch. On one machine plans/lightweight says that, on a fleet
# plans/full does; the processes cannot tell the difference.

description = "Notes: registries, replicated stores and web servers, dispatched"

level "prepare" {
  # Until the last level, the dispatcher holds what it cannot place instead of giving it up.
  service "boot_mode" {
    boot {
      command = [local.client.EPUHARNESS, "boot-mode", "on"]
      env     = local.client
    }
    terminate {
      program = "dispatch.sh"
      args    = ["boot-mode-off"]
      env     = local.client
    }
  }

  # What the processes run. The agents fetch a program by its hash when they first need it.
  service "definition" {
    for_each = toset(["registry", "store", "web", "counter"])

    boot {
      program = "dispatch.sh"
      args    = ["define", self.definition, local.programs[each.key], each.key, var.engine]
      env     = local.client
    }
    attributes = { definition = "${each.key}-${local.tag}" }
    terminate {
      program = "dispatch.sh"
      args    = ["undefine", self.definition]
      env     = local.client
    }
  }

  # Made anew for every run; whoever writes notes must know it.
  service "token" {
    boot {
      script = <<-EOT
        umask 077
        [ -s token ] || od -An -N16 -tx1 /dev/urandom | tr -d ' \n' > token
        printf 'token=%s\nfile=%s\n' "$(cat token)" "$PWD/token" > "$LAUNCH_EXPORTS"
      EOT
    }
    export "token" {
      type      = string
      sensitive = true
    }
    export "file" {
      type = string
    }
  }
}

# Two registries on different nodes: the loss of one is not noticed.
level "registry" {
  service "registry" {
    count = 2

    attributes = { process = "registry-${count.index}.${local.tag}" }
    exports    = { endpoint = string, host = string, port = string, agent = string, node = string, pid = number }

    file "config.json" {
      content = jsonencode({})
    }
    boot {
      program = "dispatch.sh"
      args    = ["run", self.process, service.definition["registry"].definition, "registry-${local.tag}"]
      env     = local.client
    }
    ready {
      http {
        url  = "http://${lookup(var.reach, self.node, self.host)}:${self.port}/healthz"
        body = "registry ${self.process} is well"
      }
      from    = "here"
      timeout = "30s"
    }
    terminate {
      program = "dispatch.sh"
      args    = ["end", self.process]
      env     = local.client
    }
    gone {
      tcp     = "${lookup(var.reach, self.node, self.host)}:${self.port}"
      from    = "here"
      timeout = "15s"
    }
  }
}

# Replicas of the stores, each on a node of its own. They enter themselves into the registries.
level "storage" {
  service "store" {
    count = var.replicas

    attributes = { process = "store-${count.index}.${local.tag}" }
    exports    = { endpoint = string, host = string, port = string, agent = string, node = string, pid = number }

    file "config.json" {
      content = jsonencode({ registries = service.registry[*].endpoint, token = service.token.token })
    }
    boot {
      program = "dispatch.sh"
      args    = ["run", self.process, service.definition["store"].definition, "store-${local.tag}"]
      env     = local.client
    }
    ready {
      http {
        url  = "http://${lookup(var.reach, self.node, self.host)}:${self.port}/healthz"
        body = "store ${self.process} is well"
      }
      from    = "here"
      timeout = "30s"
    }
    terminate {
      program = "dispatch.sh"
      args    = ["end", self.process]
      env     = local.client
    }
    gone {
      tcp     = "${lookup(var.reach, self.node, self.host)}:${self.port}"
      from    = "here"
      timeout = "15s"
    }
  }
}

# What people see. The web servers find the stores through the registries, also those that
# were started again elsewhere.
level "front" {
  service "web" {
    count = 2

    attributes = { process = "web-${count.index}.${local.tag}" }
    exports    = { endpoint = string, host = string, port = string, agent = string, node = string, pid = number }

    file "config.json" {
      content = jsonencode({
        registries = service.registry[*].endpoint
        token      = service.token.token
        stores     = length(service.store)
      })
    }
    boot {
      program = "dispatch.sh"
      args    = ["run", self.process, service.definition["web"].definition, "web-${local.tag}"]
      env     = local.client
    }
    ready {
      http {
        url  = "http://${lookup(var.reach, self.node, self.host)}:${self.port}/healthz"
        body = "web ${self.process} is well"
      }
      from    = "here"
      timeout = "30s"
    }
    terminate {
      program = "dispatch.sh"
      args    = ["end", self.process]
      env     = local.client
    }
    gone {
      tcp     = "${lookup(var.reach, self.node, self.host)}:${self.port}"
      from    = "here"
      timeout = "15s"
    }
  }

  service "counter" {
    attributes = { process = "counter.${local.tag}" }
    exports    = { endpoint = string, host = string, port = string, agent = string, node = string, pid = number }

    file "config.json" {
      content = jsonencode({ registries = service.registry[*].endpoint })
    }
    boot {
      program = "dispatch.sh"
      args    = ["run", self.process, service.definition["counter"].definition]
      env     = local.client
    }
    ready {
      http {
        url  = "http://${lookup(var.reach, self.node, self.host)}:${self.port}/healthz"
        body = "counter ${self.process} is well"
      }
      from    = "here"
      timeout = "30s"
    }
    terminate {
      program = "dispatch.sh"
      args    = ["end", self.process]
      env     = local.client
    }
    gone {
      tcp     = "${lookup(var.reach, self.node, self.host)}:${self.port}"
      from    = "here"
      timeout = "15s"
    }
  }
}

# The system is up: the dispatcher may place and give up as always, and the whole way works,
# from a note written through one web server to the same note read through the other.
level "finalize" {
  service "boot_mode_off" {
    boot {
      command = [local.client.EPUHARNESS, "boot-mode", "off"]
      env     = local.client
    }
  }

  service "round_trip" {
    ready {
      command = concat([executable("roundtrip")], local.web_urls)
      env     = { NOTES_TOKEN = service.token.token }
      timeout = "30s"
    }
  }
}
