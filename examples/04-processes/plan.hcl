description = "Programs that stay: a process is the service itself"

level "workers" {
  service "ticker" {
    process {
      script       = <<-EOT
        trap 'echo "asked to end"; exit 0' TERM
        echo "ticking"
        while :; do sleep 1 & wait $!; done
      EOT
      stop_signal  = "SIGTERM"
      stop_timeout = "5s"
    }
    ready {
      log = "^ticking$"
    }
  }

  # Without ready, a process counts as verified while it is up.
  service "sleeper" {
    process { script = "echo $$ > pid; exec sleep 3600" }
  }
}

output "sleeper" { value = "${service.sleeper.work_dir}/pid" }
