# want: 2,22-34: Reference out of place
output "x" { value = self.address }
