// Command stamp is a service for measurements. `stamp FILE` writes down when it began, as nanoseconds, and ends;
// `stamp FILE ADDRESS DELAY` opens a port after a delay, writes down when, and stays.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	began := time.Now()
	if len(os.Args) == 4 {
		serve(os.Args[1], os.Args[2], os.Args[3])
	}
	stamp(os.Args[1], began, time.Now())
}

// stamp writes with one call, so that the end that it tells is nearly the program's own.
func stamp(file string, began, ended time.Time) {
	line := strconv.FormatInt(began.UnixNano(), 10) + " " + strconv.FormatInt(ended.UnixNano(), 10) + "\n"
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		fail(err)
	}
}

func serve(file, address, delay string) {
	wait, err := time.ParseDuration(delay)
	if err != nil {
		fail(err)
	}
	time.Sleep(wait)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		fail(err)
	}
	opened := time.Now()
	stamp(file, opened, opened)
	for {
		conn, err := listener.Accept()
		if err != nil {
			fail(err)
		}
		conn.Close()
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "stamp:", err)
	os.Exit(1)
}
