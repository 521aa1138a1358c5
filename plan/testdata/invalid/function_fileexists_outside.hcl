# want: 2,22-33: Error in function call
output "x" { value = fileexists("../other/x") }
