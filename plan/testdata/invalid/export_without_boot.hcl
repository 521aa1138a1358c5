# want: 5,17-20: Exports without a boot program
level "one" {
  service "a" {
    process { command = ["x"] }
    exports = { url = string }

  }
}
