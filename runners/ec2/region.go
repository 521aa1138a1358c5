package ec2

import (
	"cmp"
	"context"
	"fmt"

	"github.com/launchplan/launch/runners"
)

// kindRegion is the region in which a run's runner blocks began that name none; its key is their profile. A later command
// finds the run's machines there, whatever region its own environment has.
const kindRegion = "region"

// Home is a configuration with the region in which the run began that has these rows of kindRegion, where the
// configuration names none itself.
func Home(c Config, rows []runners.Resource) Config {
	for _, res := range rows {
		if c.Region == "" && res.Kind == kindRegion && res.Key == homeKey(c) {
			c.Region = res.ID
		}
	}
	return c
}

// HomeRow is the row by which Home finds a region.
func HomeRow(c Config, region string) runners.Resource {
	return runners.Resource{Kind: kindRegion, Key: homeKey(c), ID: region, Status: "live"}
}

func homeKey(c Config) string { return cmp.Or(c.Profile, "default") }

// record puts rows into the ledger, and with the first of them the region, where the configuration does not say it.
func (r *Runner) record(ctx context.Context, rows ...runners.Resource) error {
	first := r.config.Region == "" && !r.atHome.Load()
	if first {
		rows = append(rows, HomeRow(r.config, r.cloud.region))
	}
	if err := r.env.Ledger.Put(ctx, rows...); err != nil {
		return fmt.Errorf("record what was asked of EC2: %w", err)
	}
	if first {
		r.atHome.Store(true)
	}
	return nil
}
