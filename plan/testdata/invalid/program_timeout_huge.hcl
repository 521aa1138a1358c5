# want: 6,17-26: Duration out of range
level "one" {
  service "a" {
    boot {
      command = ["x"]
      timeout = "100000h"
    }

  }
}
