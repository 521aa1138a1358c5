# want: 2,22-33: Error in function call
output "x" { value = setproduct(range(1000), range(1000), range(1000)) }
