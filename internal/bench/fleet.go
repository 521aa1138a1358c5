package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/launchplan/launch/internal/ec2test"
)

// fleetSize is the headline of the project that launch takes its ideas from.
const fleetSize = 1850

// fleet boots a service on each of 1850 instances of the test endpoint, which take as long as
// real ones to run and to answer: once where nothing is throttled, once where everything is.
func fleet(ctx context.Context, b *bench) error {
	for _, c := range []struct {
		name   string
		faults ec2test.Faults
		calls  float64 // allowed; 0: told only
	}{
		{"1850 instances", ec2test.Faults{}, 99},
		// The account's own limits: bursts as documented, refilled faster, or a run would take minutes.
		{"1850 instances, throttled", ec2test.Faults{Rate: 5, Burst: 20, StartRate: 50, StartBurst: 1000}, 0},
	} {
		if err := bootFleet(ctx, b, c.name, c.faults, c.calls); err != nil {
			return err
		}
	}
	return nil
}

func bootFleet(ctx context.Context, b *bench, name string, faults ec2test.Faults, calls float64) error {
	cloud, err := ec2test.New(ec2test.Options{
		Pending: ec2test.Delay{Min: 20 * time.Second, Max: 50 * time.Second},
		Boot:    ec2test.Delay{Min: 5 * time.Second, Max: 10 * time.Second},
		Ending:  time.Second, Faults: faults,
	})
	if err != nil {
		return err
	}
	defer cloud.Close()
	for _, line := range cloud.Env() {
		variable, value, _ := strings.Cut(line, "=")
		os.Setenv(variable, value)
		defer os.Unsetenv(variable)
	}
	os.Setenv("AWS_CONFIG_FILE", filepath.Join(b.dir, "no-aws-config"))
	plan, err := b.planOf(fmt.Sprintf(`
runner "ec2" "fleet" {
  image         = "ami-12345678"
  instance_type = "m7g.large"
  ssh { port = %d }
}
level "fleet" {
  service "node" {
    count  = %d
    runner = runner.ec2.fleet
    boot { command = ["true"] }
  }
}
`, cloud.SSHPort, fleetSize))
	if err != nil {
		return err
	}
	run, err := b.boot(ctx, plan)
	booted := cloud.Report()
	if err != nil {
		b.on(ctx, run, "terminate")
		return err
	}
	if booted.Started != fleetSize {
		return fmt.Errorf("%s: %d were started", name, booted.Started)
	}
	if calls > 0 {
		b.report.compare(name, run.boot.wall, "the endpoint's own minimum", booted.Minimum, 1.1)
		b.report.amount("  API calls", float64(booted.Total), "calls", calls)
	} else {
		b.report.tell(name, show(run.boot.wall), fmt.Sprintf("%d calls, of which throttled %d; none lost", booted.Total, booted.Errors["RequestLimitExceeded"]))
	}
	b.report.tell("  memory of launch", fmt.Sprintf("%d MiB", run.boot.peak>>20), fmt.Sprintf("%d KiB per connection", run.boot.peak>>10/fleetSize))
	ended, err := b.end(ctx, run)
	if err != nil {
		return err
	}
	left := cloud.Report()
	if left.States["terminated"] != fleetSize || left.KeyPairs != 0 {
		return fmt.Errorf("%s: left %v and %d key pairs", name, left.States, left.KeyPairs)
	}
	b.report.tell("  terminate", show(ended.wall), fmt.Sprintf("%d more calls", left.Total-booted.Total))
	return nil
}
