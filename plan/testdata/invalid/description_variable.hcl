# want: 2,15-20: Constant text expected
description = var.x
