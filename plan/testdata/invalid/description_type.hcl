# want: 2,15-16: Text expected
description = 5
