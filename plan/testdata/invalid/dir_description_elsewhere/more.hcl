description = "x"
