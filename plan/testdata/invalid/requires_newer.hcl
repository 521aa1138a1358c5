# want: 2,19-27: Plan for another version of launch
requires_launch = ">= 9.1"
