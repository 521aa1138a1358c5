package ec2

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

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

// RegionOf is the region that a configuration leads to: its own, else that of its profile or of the environment.
func RegionOf(ctx context.Context, c Config) (string, error) {
	api, err := openCloud(ctx, c, func(string) {})
	if err != nil {
		return "", err
	}
	defer api.close()
	return api.region, nil
}

func homeKey(c Config) string { return cmp.Or(c.Profile, "default") }

// kindEndpoint is the endpoint that calls went to when the run began, where the configuration names none; its key is the
// profile. Unlike the region it is not gone back to: it may have moved.
const kindEndpoint = "endpoint"

// ofAWS stands for the endpoint that the SDK knows for a region.
const ofAWS = "AWS"

// homeRows are what a later command has to know of where the run began, as far as the configuration does not say it.
func (r *Runner) homeRows() (rows []runners.Resource) {
	if r.config.Region == "" {
		rows = append(rows, HomeRow(r.config, r.cloud.region))
	}
	if r.config.Endpoint == "" {
		rows = append(rows, runners.Resource{Kind: kindEndpoint, Key: homeKey(r.config), ID: r.cloud.endpoint(), Status: "live"})
	}
	return rows
}

func (c *cloud) endpoint() string { return cmp.Or(aws.ToString(c.ec2.Options().BaseEndpoint), ofAWS) }

// isAWS says whether calls go to AWS itself, by whatever of its names.
func (c *cloud) isAWS() bool {
	return c.endpoint() == ofAWS || strings.Contains(c.endpoint(), ".amazonaws.com")
}

// record puts rows into the ledger, and with the first of them where the run has begun.
func (r *Runner) record(ctx context.Context, rows ...runners.Resource) error {
	if !r.atHome.Load() {
		rows = append(rows, slices.DeleteFunc(r.homeRows(), r.inLedger)...)
	}
	if err := r.env.Ledger.Put(ctx, rows...); err != nil {
		return fmt.Errorf("record what was asked of EC2: %w", err)
	}
	r.atHome.Store(true)
	return nil
}

// inLedger says whether there is a row of this kind and key.
func (r *Runner) inLedger(row runners.Resource) bool {
	return slices.ContainsFunc(r.env.Ledger.List(row.Kind), func(known runners.Resource) bool { return known.Key == row.Key })
}
