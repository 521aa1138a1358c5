// Command opener is a service for measurements: `opener FILE ADDRESS DELAY`
// opens a port after a delay, writes down when, as nanoseconds, and stays.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

func main() {
	fmt.Fprintln(os.Stderr, "opener:", serve(os.Args[1], os.Args[2], os.Args[3]))
	os.Exit(1)
}

// serve returns what keeps it from staying.
func serve(file, address, delay string) error {
	wait, err := time.ParseDuration(delay)
	if err != nil {
		return err
	}
	time.Sleep(wait)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	opened := time.Now()
	if err := os.WriteFile(file, []byte(strconv.FormatInt(opened.UnixNano(), 10)+"\n"), 0o600); err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		conn.Close()
	}
}
