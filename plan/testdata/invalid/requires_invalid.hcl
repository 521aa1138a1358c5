# want: 2,19-25: Invalid version constraint
requires_launch = "soon"
