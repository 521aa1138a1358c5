# want: 4,23-35: Unknown reference
level "one" {
  service "a" {
    boot { command = [true_program] }

  }
}
