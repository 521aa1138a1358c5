// Command ec2test runs the test endpoint until it is interrupted, so that
// launch can be tried against it from a shell:
//
//	ec2test -pending 2s -boot 1s > env & . ./env
//
// It prints the environment that a client needs, one export per line, and the
// port on which its machines answer SSH.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/launchplan/launch/internal/ec2test"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "ec2test:", err)
		os.Exit(1)
	}
}

func run() error {
	listen := flag.String("listen", "", "address to listen on (a free port of 127.0.0.1 where left out)")
	pending := flag.Duration("pending", 0, "time until an instance runs; up to a quarter more")
	boot := flag.Duration("boot", 0, "time from there until it answers; up to a quarter more")
	ending := flag.Duration("ending", 0, "time that an instance takes to end")
	port := flag.Int("ssh-port", 0, "port where machines answer SSH (a free one where left out)")
	openSSH := flag.Bool("openssh", false, "machines are real sshd processes")
	groups := flag.String("groups", "", "names of security groups, with commas between")
	profiles := flag.String("profiles", "", "names of IAM instance profiles, with commas between")
	faults := flag.String("faults", "{}", "faults, as JSON")
	flag.Parse()

	opt := ec2test.Options{
		Listen: *listen, SSHPort: *port, OpenSSH: *openSSH, Ending: *ending,
		Pending: spread(*pending), Boot: spread(*boot), Groups: names(*groups), Profiles: names(*profiles),
	}
	if err := json.Unmarshal([]byte(*faults), &opt.Faults); err != nil {
		return fmt.Errorf("-faults: %w", err)
	}
	s, err := ec2test.New(opt)
	if err != nil {
		return err
	}
	for _, line := range s.Env() {
		name, value, _ := strings.Cut(line, "=")
		fmt.Printf("export %s=%s\n", name, value)
	}
	fmt.Printf("export EC2TEST_SSH_PORT=%d\n", s.SSHPort)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	<-interrupted
	return s.Close()
}

func spread(d time.Duration) ec2test.Delay { return ec2test.Delay{Min: d, Max: d + d/4} }

func names(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
