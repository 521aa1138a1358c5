description = "A plan as a level of another plan, twice"

level "english" {
  plan   = "./greeter"
  inputs = { greeting = "hello", to = ["ann", "bob"] }
}

level "french" {
  after  = [] # needs nothing of the other level, so both run at once
  plan   = "./greeter"
  inputs = { greeting = "bonjour", to = ["chloé"] }
}

level "summary" {
  after = [level.english, level.french]

  service "count" {
    boot {
      script = "echo \"$ALL were greeted\""
      env    = { ALL = join(", ", concat(level.english.greeted, level.french.greeted)) }
    }
  }
}

output "greeted" { value = concat(level.english.greeted, level.french.greeted) }
