description = "Several of a kind: by number, and by name"

variable "workers" {
  type    = number
  default = 3
  validation {
    condition     = var.workers > 0
    error_message = "At least one worker is needed."
  }
}

variable "queues" {
  type    = map(string)
  default = { mail = "fast", reports = "slow" }
}

level "queues" {
  service "queue" {
    for_each = var.queues

    attributes = { lane = each.value }
    boot {
      script = <<-EOT
        echo "queue $LAUNCH_INDEX is $LANE"
      EOT
      env    = { LANE = each.value }
    }
  }
}

level "workers" {
  parallelism = 2 # two at a time

  service "worker" {
    count = var.workers

    exports = { id = string }
    boot {
      script = <<-EOT
        echo "id=worker-$LAUNCH_INDEX" > "$LAUNCH_EXPORTS"
      EOT
    }
  }

  service "monitor" {
    enabled = var.workers > 5
    boot { script = "echo watching" }
  }
}

output "workers" { value = service.worker[*].id }
output "lanes" { value = { for name, queue in service.queue : name => queue.lane } }
