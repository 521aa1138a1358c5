# want: 3,3-4: Unused local
locals {
  x = 1
}
