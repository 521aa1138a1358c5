package ec2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// settle finds out what came of calls that an earlier command intended and whose
// outcome was not recorded. Where the instances are still wanted, the call is made
// again with its token, which starts nothing twice; for an ending run launch
// only looks for what the token has started.
func (r *Runner) settle(ctx context.Context, wanted bool) error {
	open, err := r.openBatches()
	if err != nil || len(open) == 0 {
		return err
	}
	var t *template
	if wanted {
		if t, err = r.template(ctx, r.config.UserData); err != nil {
			return err
		}
	}
	for _, b := range open {
		if err := r.settleBatch(ctx, t, b); err != nil {
			return err
		}
	}
	return nil
}

// openBatches are the intents without an outcome.
func (r *Runner) openBatches() ([]*batch, error) {
	var open []*batch
	for _, res := range r.env.Ledger.List(kindBatch) {
		if res.Status != "wanted" {
			continue
		}
		b := &batch{token: res.Key}
		if err := json.Unmarshal([]byte(res.Data), &b.batchRecord); err != nil {
			return nil, fmt.Errorf("read the record of the call %s: %w", res.Key, err)
		}
		b.foreign = b.Cloud != "" && b.Cloud != cloudKey(r.config)
		if b.Region == r.cloud.region && !r.underWay(b) {
			open = append(open, b)
		}
	}
	for _, h := range r.all() {
		i := slices.IndexFunc(open, func(b *batch) bool { return b.token == h.Batch })
		if i >= 0 {
			open[i].services = append(open[i].services, h.Service)
		}
	}
	return open, nil
}

// underWay says whether a call is one of this command's other runners, which records what comes of it.
func (r *Runner) underWay(b *batch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return b.Asked.After(r.opened) && !r.intended[b.token]
}

func (r *Runner) settleBatch(ctx context.Context, t *template, b *batch) error {
	seen, err := r.startedBy(ctx, b)
	if err != nil {
		return err
	}
	if len(seen) == 0 && b.foreign {
		return nil // a runner block of another cloud finds out what came of it, where a region has the same name
	}
	if len(seen) >= b.Count {
		_, err := r.assign(ctx, b, seen)
		return err
	}
	if t != nil && time.Since(b.Asked) < tokenLife {
		var ok bool
		if b.shared, ok = shareOut(b.services); ok {
			if print, err := r.fingerprint(t.request(b)); err != nil {
				return err
			} else if print == b.Fingerprint {
				_, err := r.ask(ctx, t, b, seen)
				return err
			}
		}
	}
	_, err = r.settleByLooking(ctx, b)
	return err
}

// settleByLooking waits as long as an effect may stay unseen, then takes what
// there is for all there is.
func (r *Runner) settleByLooking(ctx context.Context, b *batch) ([]held, error) {
	told := false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		left := time.Until(b.shows()) // before the look, which must not be older
		seen, err := r.startedBy(ctx, b)
		if err != nil {
			return nil, err
		}
		if len(seen) >= b.Count || left <= 0 {
			return r.assign(ctx, b, seen)
		}
		if !told {
			r.env.Note("", fmt.Sprintf("it is not known what came of a call for %d instances; launch looks for them for another %s", b.Count, left.Round(time.Second)))
			told = true
		}
		if !pauseFor(ctx, min(pause, left)) {
			return nil, context.Cause(ctx)
		}
	}
}

// startedBy are the instances that the calls of a batch have started, in any
// state: never nil without an error. Some compatible clouds do not keep tokens;
// the token is also a tag, which may take longer to show.
func (r *Runner) startedBy(ctx context.Context, b *batch) ([]types.Instance, error) {
	ours := func(i *types.Instance) bool {
		return aws.ToString(i.ClientToken) == b.token || tagMap(i.Tags)[tagBatch] == b.token
	}
	seen := []types.Instance{}
	for _, by := range []types.Filter{filter("client-token", b.token), filter("tag:"+tagBatch, b.token)} {
		if len(seen) >= b.Count {
			break
		}
		more, err := r.cloud.instances(ctx, ours, []types.Filter{by})
		if err != nil {
			return nil, explain(err, "look for the instances of the call %s", b.token)
		}
		seen = join(seen, more)
	}
	return seen, nil
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}

// pageSize is the largest page of DescribeInstances.
const pageSize = 1000

// instances are all that match. Compatible clouds may pass over a filter, and
// what is found here may be ended: match is the filters once more. Others refuse
// filters that they do not know, with an error of any kind, or let nothing match
// them: everything is looked through then.
func (c *cloud) instances(ctx context.Context, match func(*types.Instance) bool, filters []types.Filter) ([]types.Instance, error) {
	name := namesOf(filters) // one that is heeded says nothing of another beside it
	heeded, tried := c.filters.Load(name)
	if !tried || heeded == true {
		in := &ec2.DescribeInstancesInput{Filters: filters, MaxResults: aws.Int32(pageSize)}
		found, err := c.pages(ctx, match, in, c.unlessRefused())
		switch {
		case err != nil && !refused(err):
			return nil, err
		case err != nil:
			c.filters.Store(name, false)
		case len(found) > 0:
			c.filters.Store(name, true)
			return found, nil
		case tried || c.isAWS():
			return nil, nil
		}
	}
	found, err := c.pages(ctx, match, &ec2.DescribeInstancesInput{}) // the other call may have been refused for the size of its pages
	if !tried && len(found) > 0 {
		c.filters.Store(name, false)
	}
	return found, err
}

func namesOf(filters []types.Filter) string {
	var names []string
	for _, f := range filters {
		names = append(names, aws.ToString(f.Name))
	}
	return strings.Join(names, " ")
}

// pages describes instances page by page.
func (c *cloud) pages(ctx context.Context, match func(*types.Instance) bool, in *ec2.DescribeInstancesInput, options ...func(*ec2.Options)) ([]types.Instance, error) {
	var found []types.Instance
	for {
		out, err := call(ctx, c, c.ec2.DescribeInstances, in, options...)
		if err != nil {
			return nil, err
		}
		for _, reservation := range out.Reservations {
			for _, i := range reservation.Instances {
				if match(&i) {
					found = append(found, i)
				}
			}
		}
		if more, err := turn(&in.NextToken, out.NextToken); !more {
			return found, err
		}
	}
}

// errSamePage is told of an endpoint that would keep launch reading for ever.
var errSamePage = errors.New("the endpoint gives the same page of its answer again and again")

// turn goes on to the next page of an answer, if there is one.
func turn(page **string, next *string) (more bool, err error) {
	switch aws.ToString(next) {
	case "":
		return false, nil
	case aws.ToString(*page):
		return false, errSamePage
	}
	*page = next
	return true, nil
}
