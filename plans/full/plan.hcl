# The whole system on a fleet: base nodes with a NATS cluster and two dispatchers, engine nodes
# with an agent each, then the same dispatch plan as plans/lightweight, file by file.

description = "The notes system on a fleet: brokers, dispatchers and agents on VMs, and what is dispatched to them"

locals {
  base_on_ec2   = length(var.base_hosts) == 0
  engine_on_ec2 = length(var.engine_hosts) == 0
  base_count    = local.base_on_ec2 ? var.base_nodes : length(var.base_hosts)
  engine_count  = local.engine_on_ec2 ? var.engine_nodes : length(var.engine_hosts)
  dispatchers   = 2

  # Nodes reach each other by their private addresses, this machine reaches them by the others.
  inner = [for node in service.base : compact([node.private_address, node.address])[0]]
  outer = service.base[*].address

  # A machine that replaces another is a node of its own to the dispatcher.
  nodes       = [for i, m in service.engine : "engine-${i}-${substr(sha256(compact([m.instance_id, m.address])[0]), 0, 6)}"]
  engine_here = [for m in service.engine : compact([m.private_address, m.address])[0]]

  # One broker is no cluster.
  cluster    = local.base_count > 1 ? "launch" : ""
  inner_urls = join(",", [for host in local.inner : "tls://${host}:4222"])
  outer_urls = join(",", [for host in local.outer : "tls://${host}:4222"])

  # What every daemon finds in its work directory.
  daemon = {
    EPUHARNESS_CREDENTIALS = "credentials.json"
    EPUHARNESS_TLS_CA      = "ca.pem"
  }
  here = {
    EPUHARNESS             = executable("epuharness")
    EPUHARNESS_URL         = local.outer_urls
    EPUHARNESS_CREDENTIALS = service.secrets.credentials
    EPUHARNESS_TLS_CA      = service.secrets.tls_ca
  }
}

runner "ec2" "base" {
  image           = var.image
  instance_type   = var.base_type
  security_groups = var.security_groups
  subnet          = var.subnet
  address         = var.address
  ssh {
    user = var.ssh_user
    port = var.ssh_port
  }
}

runner "ec2" "engine" {
  image           = var.image
  instance_type   = var.engine_type
  security_groups = var.security_groups
  subnet          = var.subnet
  address         = var.address
  ssh {
    user = var.ssh_user
    port = var.ssh_port
  }
}

runner "ec2" "pool" {
  image           = var.image
  instance_type   = var.engine_type
  security_groups = var.security_groups
  subnet          = var.subnet
  pool { size = var.engine_pool }
}

runner "ssh" "hosts" {
  user            = var.ssh_user
  port            = var.ssh_port
  identity_file   = var.identity_file
  host_key_policy = var.host_key_policy
}

# Every machine of the fleet. Sending epuharness and running it there once shows that the node
# is of the right kind; the services on it share what was sent.
level "machines" {
  service "base" {
    count  = local.base_count
    runner = local.base_on_ec2 ? runner.ec2.base : runner.ssh.hosts
    host   = local.base_on_ec2 ? null : var.base_hosts[count.index]
    boot {
      program = var.epuharness
      args    = ["version"]
    }
  }
  service "engine" {
    count  = local.engine_count
    runner = local.engine_on_ec2 ? runner.ec2.engine : runner.ssh.hosts
    host   = local.engine_on_ec2 ? null : var.engine_hosts[count.index]
    boot {
      program = var.epuharness
      args    = ["version"]
    }
  }
}

# Credentials and certificates are made for this run, on this machine.
level "secrets" {
  service "secrets" {
    boot {
      script = "umask 077; exec \"$EPUHARNESS\" secrets . --hosts \"$HOSTS\" --output json > \"$LAUNCH_EXPORTS\""
      env    = { EPUHARNESS = executable("epuharness"), HOSTS = join(",", distinct(concat(local.inner, local.outer))) }
    }
    exports = { credentials = string, tls_ca = string, tls_cert = string, tls_key = string, tls_ca_content = string, tls_cert_content = string }
    export "credentials_content" {
      type      = string
      sensitive = true
    }
    export "tls_key_content" {
      type      = string
      sensitive = true
    }
  }
}

level "brokers" {
  service "broker" {
    count = local.base_count
    on    = service.base[count.index]

    file "credentials.json" { content = service.secrets.credentials_content }
    file "ca.pem" { content = service.secrets.tls_ca_content }
    file "cert.pem" { content = service.secrets.tls_cert_content }
    file "key.pem" { content = service.secrets.tls_key_content }

    process {
      program = var.epuharness
      args = [
        "broker", "--name", "broker-${count.index}", "--store", "store", "--listen", "${local.inner[count.index]}:4222",
        "--cluster", local.cluster, "--cluster-listen", "${local.inner[count.index]}:6222",
        "--routes", join(",", [for i, host in local.inner : "${host}:6222" if i != count.index && local.cluster != ""]),
      ]
      env = merge(local.daemon, { EPUHARNESS_TLS_CERT = "cert.pem", EPUHARNESS_TLS_KEY = "key.pem" })
    }
    ready { tcp = "${local.inner[count.index]}:4222" }
  }
}

# One of them leads; the other takes over within seconds.
level "dispatchers" {
  after = [level.brokers]

  service "dispatcher" {
    count = local.dispatchers
    on    = service.base[count.index % local.base_count]

    file "credentials.json" { content = service.secrets.credentials_content }
    file "ca.pem" { content = service.secrets.tls_ca_content }

    process {
      program = var.epuharness
      args    = ["dispatcher", "--name", "dispatcher-${count.index}"]
      env     = merge(local.daemon, { EPUHARNESS_URL = local.inner_urls })
    }
  }

  # Asked from here, as the dispatch plan will ask: so the dispatchers answer.
  service "default_engine" {
    boot {
      command = [
        local.here.EPUHARNESS, "engine", "define", "default", "--default",
        "--slots", var.slots, "--base-need", local.engine_count, "--timeout", "2m",
      ]
      env = local.here
    }
  }
}

# Engine nodes that EC2 keeps at their number. Nobody logs in there: what they need to join is in their user data.
level "pool" {
  after   = [level.dispatchers]
  enabled = var.engine_pool > 0

  service "members" {
    runner = runner.ec2.pool
    user_data = templatefile("pool.sh", {
      epuharness  = var.pool_epuharness
      sha256      = var.pool_epuharness_sha256
      urls        = local.inner_urls
      credentials = service.secrets.credentials_content
      tls_ca      = service.secrets.tls_ca_content
      slots       = var.slots
    })
  }
}

level "pool_joined" {
  after   = [level.pool]
  enabled = var.engine_pool > 0

  service "pool_joined" {
    ready {
      program = "pool_joined.sh"
      args    = [tostring(var.engine_pool)]
      env     = local.here
      timeout = "5m"
    }
    terminate {
      # Members that have died since are forgotten.
      program = "pool_stale.sh"
      env     = local.here
    }
  }
}

level "engines" {
  after = [level.dispatchers]

  service "agent" {
    count = local.engine_count
    on    = service.engine[count.index]

    attributes = { node = local.nodes[count.index] }

    file "credentials.json" { content = service.secrets.credentials_content }
    file "ca.pem" { content = service.secrets.tls_ca_content }

    process {
      program = var.epuharness
      args    = ["agent", "--name", self.node, "--slots", var.slots, "--dir", "agent"]
      env     = merge(local.daemon, { EPUHARNESS_URL = local.inner_urls, EPU_HOST = local.engine_here[count.index] })
    }
    # Its processes would outlive it. Where the dispatcher was there to end them, none are left.
    terminate {
      program = var.epuharness
      args    = ["agent", "stop", "--dir", "agent"]
    }
  }

  # What provides nodes says which of them are ready, and which are gone.
  service "node" {
    count      = local.engine_count
    attributes = { node = local.nodes[count.index] }
    boot {
      command = [local.here.EPUHARNESS, "node", "announce", self.node]
      env     = local.here
    }
    terminate {
      # Where nobody answers, nobody needs to be told.
      script = "\"$EPUHARNESS\" node remove \"$NODE\" --force --timeout 5s || echo 'The dispatcher was not told.'"
      env    = merge(local.here, { NODE = self.node })
    }
  }

  # The dispatcher knows every one of them, and finds it well.
  service "joined" {
    ready {
      program = "joined.sh"
      args    = local.nodes
      env     = local.here
      timeout = "2m"
    }
  }
}

level "dispatch" {
  after = [level.engines, level.pool_joined]
  plan  = "../dispatch"
  inputs = {
    dispatcher_url = local.outer_urls
    credentials    = service.secrets.credentials
    tls_ca         = service.secrets.tls_ca
    programs       = var.programs
    replicas       = var.replicas
    reach          = zipmap(local.nodes, service.engine[*].address)
  }
}

output "dispatcher_url" { value = local.outer_urls }
output "credentials" { value = service.secrets.credentials }
output "tls_ca" { value = service.secrets.tls_ca }
output "url" { value = level.dispatch.url }
output "web" { value = level.dispatch.web }
output "count" { value = level.dispatch.count }
output "token_file" { value = level.dispatch.token_file }
