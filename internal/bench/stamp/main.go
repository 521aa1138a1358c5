// Command stamp is a program for measurements: `stamp FILE` writes down when it
// began and when it ended, as nanoseconds. What it links is little, for it to
// begin as soon after its exec as a Go program can.
package main

import (
	"os"
	"strconv"
	"time"
)

func main() {
	began := time.Now()
	file, err := os.OpenFile(os.Args[1], os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		fail(err)
	}
	// One call, so that the end that it tells is nearly the program's own.
	line := strconv.FormatInt(began.UnixNano(), 10) + " " + strconv.FormatInt(time.Now().UnixNano(), 10) + "\n"
	if _, err := file.WriteString(line); err != nil {
		fail(err)
	}
}

func fail(err error) {
	os.Stderr.WriteString("stamp: " + err.Error() + "\n")
	os.Exit(1)
}
