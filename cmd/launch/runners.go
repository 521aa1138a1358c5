package main

import (
	"context"
	"os"

	"github.com/launchplan/launch/engine"
	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/ec2"
	"github.com/launchplan/launch/runners/local"
	"github.com/launchplan/launch/runners/ssh"
)

// runnerTypes are the runners that plans can use: one line for each.
func runnerTypes() []engine.RunnerType {
	return []engine.RunnerType{
		engine.Register("local", plan.NoHost, openLocal),
		engine.Register("ssh", plan.NeedsHost, ssh.New),
		engine.Register("ec2", plan.MayHaveHost, ec2.New),
	}
}

// openLocal gives the local runner the way to start this program as its supervisor.
func openLocal(ctx context.Context, config local.Config, env runners.Env) (runners.Runner, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	config.Supervisor = []string{self, superviseArg}
	return local.New(ctx, config, env)
}
