# Where the machines come from: EC2, or hosts that are there already and are reached by SSH.

variable "base_hosts" {
  type        = list(string)
  default     = []
  description = "Hosts for the brokers and dispatchers, by address; left out: EC2 instances"
}

variable "engine_hosts" {
  type        = list(string)
  default     = []
  description = "Hosts for the agents, by address; left out: EC2 instances"
}

variable "base_nodes" {
  type        = number
  default     = 3
  description = "How many base nodes on EC2: 1, or 3 and more for a broker that survives the loss of one"
  validation {
    condition     = var.base_nodes >= 1 && var.base_nodes != 2
    error_message = "Two brokers cannot outvote each other: take 1, or 3 and more."
  }
}

variable "engine_nodes" {
  type        = number
  default     = 2
  description = "How many engine nodes on EC2"
  validation {
    condition     = var.engine_nodes >= 1
    error_message = "At least one engine node is needed."
  }
}

variable "engine_pool" {
  type        = number
  default     = 0
  description = "How many more engine nodes EC2 keeps running by itself, as an Auto Scaling group"
  validation {
    condition     = var.engine_pool >= 0 && var.engine_pool == floor(var.engine_pool)
    error_message = "A pool has 0 or more nodes."
  }
  validation {
    condition     = var.engine_pool == 0 || var.image != ""
    error_message = "The nodes of a pool are EC2 instances: give the image."
  }
  validation {
    condition     = var.engine_pool == 0 || var.address == "private"
    error_message = "The nodes of a pool are known by their private addresses: run launch within the VPC, with address = \"private\"."
  }
}

variable "pool_epuharness" {
  type        = string
  default     = ""
  description = "Where the nodes of the pool find epuharness: an absolute path in the image, or an https URL"
  validation {
    condition     = var.engine_pool == 0 || can(regex("^(/|https://)[^\\s'\"\\\\]+$", var.pool_epuharness))
    error_message = "A pool needs pool_epuharness: an absolute path in the image, or an https URL."
  }
}

variable "pool_epuharness_sha256" {
  type        = string
  default     = ""
  description = "The SHA-256 of what is at that URL"
  validation {
    condition     = !startswith(var.pool_epuharness, "https://") || can(regex("^[0-9a-f]{64}$", var.pool_epuharness_sha256))
    error_message = "What is fetched is checked: give its SHA-256, 64 hexadecimal digits."
  }
}

variable "slots" {
  type        = number
  default     = 8
  description = "How many processes an engine node runs at a time"
}

variable "replicas" {
  type        = number
  default     = 2
  description = "How many stores, each on an engine node of its own"
}

# The programs for the nodes, where those are of another system than this machine. Build them with
#   make plans/full/bin NODE_OS=linux NODE_ARCH=arm64

variable "epuharness" {
  type        = string
  default     = "bin/epuharness"
  description = "The epuharness that is sent to the nodes: a file of this plan"
}

variable "programs" {
  type        = string
  default     = ""
  description = "The directory of the programs that are dispatched, where they run on another system than this one; left out: those beside launch"
}

# EC2. Region, credentials and endpoint are found as the AWS tools find them.

variable "image" {
  type        = string
  default     = ""
  description = "The image of the instances: a Linux with cloud-init"
}

variable "base_type" {
  type        = string
  default     = "m7g.large"
  description = "The instance type of base nodes"
}

variable "engine_type" {
  type        = string
  default     = "m7g.large"
  description = "The instance type of engine nodes"
}

variable "security_groups" {
  type        = list(string)
  default     = []
  description = "They must let in SSH and port 4222 from here, and everything among the nodes; left out: the VPC's default group"
}

variable "subnet" {
  type        = string
  default     = null
  description = "The subnet of the instances; left out: a default one"
}

variable "address" {
  type        = string
  default     = "public"
  description = "By which of their addresses the nodes are reached from here: \"public\", or \"private\" from within the VPC"
}

# SSH, for both kinds of machines.

variable "ssh_user" {
  type        = string
  default     = null
  description = "Who logs in; left out: what ~/.ssh/config says, and ec2-user on EC2"
}

variable "ssh_port" {
  type    = number
  default = null
}

variable "identity_file" {
  type        = string
  default     = null
  description = "The key for hosts that are there already; instances get one of their own"
}

variable "host_key_policy" {
  type        = string
  default     = null
  description = "For hosts that are there already: \"strict\" (known_hosts decides) or \"accept-new\""
}
