variable "dispatcher_url" {
  type        = string
  description = "The URL of the broker, as epuharness start prints it. It carries no credentials."
}

variable "credentials" {
  type        = string
  description = "The file with the broker's credentials"
}

variable "tls_ca" {
  type        = string
  default     = ""
  description = "The file with the certificate authority of the broker, where it asks for TLS"
}

variable "engine" {
  type        = string
  default     = ""
  description = "The engine whose agents run the processes; left out: the dispatcher's default engine"
}

variable "programs" {
  type        = string
  default     = ""
  description = "The directory of the programs for the agents, where they run on another system than this one; left out: those beside launch"
}

variable "replicas" {
  type        = number
  default     = 2
  description = "How many stores, each on a node of its own"
  validation {
    condition     = var.replicas >= 1
    error_message = "At least one store is needed."
  }
}

variable "reach" {
  type        = map(string)
  default     = {}
  description = "The address of a node as seen from here, by the node's name, where it differs from the one that its processes listen on"
}

variable "placed_within" {
  type        = string
  default     = "60s"
  description = "How long a process may take until it runs and listens"
}

locals {
  # What tells the processes and definitions of this run from those of others.
  tag = substr(sha256(run.id), 0, 8)

  client = {
    EPUHARNESS             = executable("epuharness")
    EPUHARNESS_URL         = var.dispatcher_url
    EPUHARNESS_CREDENTIALS = var.credentials
    EPUHARNESS_TLS_CA      = var.tls_ca
    PLACED_WITHIN          = var.placed_within
  }

  programs = {
    for name in ["registry", "store", "web", "counter"] :
    name => var.programs == "" ? executable(name) : "${var.programs}/${name}"
  }

  web_urls = [for web in service.web : "http://${lookup(var.reach, web.node, web.host)}:${web.port}"]
}

output "url" {
  value       = "${local.web_urls[0]}/"
  description = "The notes, for people"
}

output "web" {
  value       = local.web_urls
  description = "All the web servers"
}

output "count" {
  value       = "http://${lookup(var.reach, service.counter.node, service.counter.host)}:${service.counter.port}/count"
  description = "How many notes and words there are"
}

output "token_file" {
  value       = service.token.file
  description = "The file with what a client must know to write a note"
}
