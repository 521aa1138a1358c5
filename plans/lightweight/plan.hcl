# The whole system on this machine, without any VM: a harness of two virtual nodes, then the
# same dispatch plan that plans/full runs on a fleet.

description = "The notes system on one machine: a harness, and what is dispatched to it"

variable "replicas" {
  type        = number
  default     = 2
  description = "How many stores, each on a node of its own; the harness has two nodes"
  validation {
    condition     = var.replicas >= 1 && var.replicas <= 2
    error_message = "The harness has two nodes, so there can be one store or two."
  }
}

level "harness" {
  service "harness" {
    file "deployment.hcl" { source = "harness/deployment.hcl" }

    # What an attempt that was cut short has left is ended first. What this one starts goes on
    # when the script has ended.
    boot {
      script  = <<-EOT
        [ ! -e "$EPUHARNESS_STATE" ] || "$EPUHARNESS" kill
        exec "$EPUHARNESS" start deployment.hcl --output json > "$LAUNCH_EXPORTS"
      EOT
      env     = { EPUHARNESS = executable("epuharness"), EPUHARNESS_STATE = "${self.work_dir}/state" }
      timeout = "60s"
    }
    exports = { dispatcher_url = string, credentials = string, state_directory = string }

    ready {
      command = [executable("epuharness"), "status"]
      env     = { EPUHARNESS_STATE = "${self.work_dir}/state" }
      timeout = "30s"
    }
    terminate {
      command = [executable("epuharness"), "stop", "--force"]
      env     = { EPUHARNESS_STATE = "${self.work_dir}/state" }
    }
  }
}

level "dispatch" {
  plan = "../dispatch"
  inputs = {
    dispatcher_url = service.harness.dispatcher_url
    credentials    = service.harness.credentials
    replicas       = var.replicas
  }
}

output "dispatcher_url" { value = service.harness.dispatcher_url }
output "credentials" { value = service.harness.credentials }
output "state_directory" { value = service.harness.state_directory }
output "url" { value = level.dispatch.url }
output "web" { value = level.dispatch.web }
output "count" { value = level.dispatch.count }
output "token_file" { value = level.dispatch.token_file }
