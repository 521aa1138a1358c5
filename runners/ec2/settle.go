package ec2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
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
	for _, o := range open {
		if err := r.settleBatch(ctx, t, o); err != nil {
			return err
		}
	}
	return nil
}

// An openBatch is an intent without an outcome.
type openBatch struct {
	*batch
	batchRecord
}

func (r *Runner) openBatches() ([]openBatch, error) {
	var open []openBatch
	for _, res := range r.env.Ledger.List(kindBatch) {
		if res.Status != "wanted" {
			continue
		}
		o := openBatch{batch: &batch{token: res.Key, resource: res}}
		if err := json.Unmarshal([]byte(res.Data), &o.batchRecord); err != nil {
			return nil, fmt.Errorf("read the record of the call %s: %w", res.Key, err)
		}
		if o.Region == r.cloud.region {
			open = append(open, o)
		}
	}
	for _, h := range r.all() {
		i := slices.IndexFunc(open, func(o openBatch) bool { return o.token == h.Batch })
		if i >= 0 {
			open[i].services = append(open[i].services, h.Service)
		}
	}
	return open, nil
}

func (r *Runner) settleBatch(ctx context.Context, t *template, o openBatch) error {
	found, err := r.byToken(ctx, o.token)
	if err != nil {
		return err
	}
	if len(found) >= o.Count {
		_, err := r.assign(ctx, o.batch, found)
		return err
	}
	if t != nil && time.Since(o.Asked) < tokenLife {
		var ok bool
		if o.shared, ok = shareOut(o.services); ok {
			if print, err := r.fingerprint(t.request(o.batch)); err != nil {
				return err
			} else if print == o.Fingerprint {
				_, err := r.start(ctx, t, o.batch)
				return err
			}
		}
	}
	_, err = r.settleByLooking(ctx, o.batch)
	return err
}

// settleByLooking waits as long as an effect may stay unseen, then takes what
// there is for all there is.
func (r *Runner) settleByLooking(ctx context.Context, b *batch) ([]held, error) {
	var rec batchRecord
	if err := json.Unmarshal([]byte(b.resource.Data), &rec); err != nil {
		return nil, err
	}
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		found, err := r.byToken(ctx, b.token)
		if err != nil {
			return nil, err
		}
		left := settleTime - time.Since(rec.Asked)
		if len(found) >= rec.Count || left <= 0 && len(found) > 0 {
			return r.assign(ctx, b, found)
		}
		if left <= 0 {
			return nil, r.giveUp(ctx, b)
		}
		select {
		case <-time.After(min(pause, left)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// byToken are the instances that a client token has started, in any state. Some
// compatible clouds do not know that filter; the token is also a tag, which may
// take longer to show.
func (r *Runner) byToken(ctx context.Context, token string) ([]types.Instance, error) {
	found, err := r.cloud.instances(ctx, filter("client-token", token))
	if _, refused := errors.AsType[smithy.APIError](err); refused && kindOf(err) != badCredentials && kindOf(err) != notAllowed {
		found, err = r.cloud.instances(ctx, filter("tag:"+tagBatch, token))
	}
	return found, explain(err, "look for the instances of the call %s", token)
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: aws.String(name), Values: values}
}

// pageSize is the largest page of DescribeInstances.
const pageSize = 1000

// instances are all that match, page by page.
func (c *cloud) instances(ctx context.Context, filters ...types.Filter) ([]types.Instance, error) {
	var found []types.Instance
	in := &ec2.DescribeInstancesInput{Filters: filters, MaxResults: aws.Int32(pageSize)}
	for {
		out, err := call(ctx, c, c.ec2.DescribeInstances, in)
		if err != nil {
			return nil, err
		}
		for _, reservation := range out.Reservations {
			found = append(found, reservation.Instances...)
		}
		if aws.ToString(out.NextToken) == "" {
			return found, nil
		}
		in.NextToken = out.NextToken
	}
}
