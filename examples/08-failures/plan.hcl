description = "What happens when something fails"

variable "disk" {
  type        = string
  description = "A directory that must exist"
}

level "storage" {
  # It fails the first time, and is tried again.
  service "flaky" {
    boot {
      script      = <<-EOT
        if [ ! -e tried ]; then
          touch tried
          echo "not yet" >&2
          exit 1
        fi
        echo "now it works"
      EOT
      retries     = 2
      retry_delay = "50ms"
    }
  }

  # It fails for as long as the directory is not there.
  service "disk" {
    boot {
      script = "ls -d \"$DISK\""
      env    = { DISK = var.disk }
    }
  }
}

level "app" {
  service "app" {
    boot { script = "echo up" }
  }
}
