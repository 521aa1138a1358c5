description = "A level that uses what an earlier one found out"

level "storage" {
  service "database" {
    attributes = { engine = "sqlite" } # known before boot
    exports    = { path = string, pages = number }

    boot {
      script = <<-EOT
        echo "some data" > data.db
        echo "path=$PWD/data.db" >> "$LAUNCH_EXPORTS"
        echo "pages=3" >> "$LAUNCH_EXPORTS"
      EOT
    }
  }
}

level "app" {
  service "report" {
    boot {
      script = <<-EOT
        echo "$ENGINE has $PAGES pages: $(cat "$DATABASE")"
      EOT
      env = {
        ENGINE   = service.database.engine
        DATABASE = service.database.path
        PAGES    = service.database.pages
      }
    }
  }
}

output "pages" { value = service.database.pages }
