package ec2

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

const (
	// gather is how long a question waits for others that can share the call.
	gather = 30 * time.Millisecond
	// firstPause and longestPause bound the time between two looks at the same
	// instances; in between it is a tenth of the time waited, so that what is
	// noticed late is late by a tenth at most, and calls stay few.
	firstPause   = 500 * time.Millisecond
	longestPause = 5 * time.Second
	// maxByID is how many values a filter takes, maxNamed how many ids a call names; for more the run's tag is asked for.
	maxByID  = 200
	maxNamed = 1000
	// maxStatusIDs is how many ids the reference recommends for a status call.
	maxStatusIDs = 100
)

// A fleet looks at a run's instances for everyone who waits for one of them: as
// many as there are, they share a call, or a page of it.
type fleet struct {
	cloud *cloud
	run   string
	end   context.CancelFunc
	ended chan struct{} // closed when the loop has ended
	wake  chan struct{} // tells the loop of a new question

	mu      sync.Mutex
	waiting []*question
}

// A question is somebody who waits for the next look at an instance.
type question struct {
	id     string
	checks bool // the status checks are wanted, too
	due    time.Time
	answer chan sight
}

// A sight is how an instance was when it was looked at.
type sight struct {
	instance *types.Instance // nil: the API does not know it
	impaired string          // which status check fails
	err      error
}

// newFleet starts the loop that looks. It does nothing while nobody asks, and
// ends with close.
func newFleet(ctx context.Context, c *cloud, run string) *fleet {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	f := &fleet{cloud: c, run: run, end: end, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	go func() {
		defer close(f.ended)
		f.answer(ctx)
	}()
	return f
}

func (f *fleet) close() {
	f.end()
	<-f.ended
}

// look waits for the next look at an instance, which is made after a pause, or
// before it where others are in more of a hurry.
func (f *fleet) look(ctx context.Context, id string, checks bool, pause time.Duration) (sight, error) {
	q := &question{id, checks, time.Now().Add(pause), make(chan sight, 1)}
	f.mu.Lock()
	f.waiting = append(f.waiting, q)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // the loop is about to see it
	}
	select {
	case s := <-q.answer:
		return s, s.err
	case <-ctx.Done():
		return sight{}, context.Cause(ctx)
	case <-f.ended:
		return sight{}, context.Canceled
	}
}

// pauseAfter is how long to wait before the next look, having waited so long.
func pauseAfter(waited time.Duration) time.Duration {
	return min(max(waited/10, firstPause), longestPause)
}

// answer looks when the first of those who ask wants it, for all of them.
func (f *fleet) answer(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if due, any := f.due(); any {
			timer.Reset(time.Until(due))
		} else {
			timer.Stop()
		}
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
			continue
		case <-timer.C:
		}
		f.mu.Lock()
		batch := f.waiting
		f.waiting = nil
		f.mu.Unlock()
		f.round(ctx, batch)
	}
}

func (f *fleet) due() (first time.Time, any bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, q := range f.waiting {
		if !any || q.due.Before(first) {
			first, any = q.due, true
		}
	}
	return first, any
}

// round looks once and answers a batch of questions.
func (f *fleet) round(ctx context.Context, batch []*question) {
	ids := map[string]bool{}
	var checked []string
	for _, q := range batch {
		if q.checks && !ids[q.id] {
			checked = append(checked, q.id)
		}
		ids[q.id] = true
	}
	seen, err := f.describe(ctx, ids)
	var impaired map[string]string
	if err == nil && len(checked) > 0 {
		impaired, err = f.impaired(ctx, checked, seen)
	}
	for _, q := range batch {
		q.answer <- sight{seen[q.id], impaired[q.id], err}
	}
}

// describe asks for instances by id where they are few, or few enough for one call and all known, and else for all of the
// run, and then by id for those whose tags do not show yet: to read what nobody waits for is most of the work in a large run.
func (f *fleet) describe(ctx context.Context, ids map[string]bool) (map[string]*types.Instance, error) {
	seen := make(map[string]*types.Instance, len(ids))
	take := func(list []types.Instance) {
		for _, i := range list {
			seen[aws.ToString(i.InstanceId)] = &i
		}
	}
	asked := func(i *types.Instance) bool { return ids[aws.ToString(i.InstanceId)] }
	if len(ids) > maxByID {
		list, err := f.many(ctx, ids, asked)
		if err != nil {
			return nil, err
		}
		take(list)
	}
	var unseen []string
	for id := range ids {
		if seen[id] == nil {
			unseen = append(unseen, id)
		}
	}
	// A filter, unlike a list of ids, is no error where one of them is unknown.
	for _, part := range chunks(unseen, maxByID) {
		list, err := f.cloud.instances(ctx, asked, []types.Filter{filter("instance-id", part...)})
		if err != nil {
			return nil, err
		}
		take(list)
	}
	return seen, nil
}

func (f *fleet) many(ctx context.Context, ids map[string]bool, asked func(*types.Instance) bool) ([]types.Instance, error) {
	if len(ids) <= maxNamed {
		in := &ec2.DescribeInstancesInput{InstanceIds: slices.Sorted(maps.Keys(ids))}
		list, err := f.cloud.pages(ctx, asked, in, f.cloud.unlessRefused())
		if !refused(err) { // as where one of them is not known
			return list, err
		}
	}
	return f.cloud.instances(ctx, asked, []types.Filter{filter("tag:"+tagRunID, f.run)})
}

// impaired are those of the instances whose status checks fail, and which one.
func (f *fleet) impaired(ctx context.Context, ids []string, seen map[string]*types.Instance) (map[string]string, error) {
	var running []string
	for _, id := range ids {
		if i := seen[id]; i != nil && stateOf(i) == types.InstanceStateNameRunning {
			running = append(running, id)
		}
	}
	out := map[string]string{}
	ask := func(in *ec2.DescribeInstanceStatusInput) error {
		for {
			page, err := call(ctx, f.cloud, f.cloud.ec2.DescribeInstanceStatus, in)
			if err != nil {
				return err
			}
			for _, s := range page.InstanceStatuses {
				switch {
				case s.SystemStatus != nil && s.SystemStatus.Status == types.SummaryStatusImpaired:
					out[aws.ToString(s.InstanceId)] = "system"
				case s.InstanceStatus != nil && s.InstanceStatus.Status == types.SummaryStatusImpaired:
					out[aws.ToString(s.InstanceId)] = "instance"
				}
			}
			if more, err := turn(&in.NextToken, page.NextToken); !more {
				return err
			}
		}
	}
	if len(running) == 0 {
		return out, nil
	}
	if len(running) <= maxStatusIDs {
		if err := ask(&ec2.DescribeInstanceStatusInput{InstanceIds: running}); !refused(err) {
			return out, err
		}
	}
	// For many, asking which of the region's are impaired is the shorter answer, and it is no error where one is unknown.
	for _, name := range []string{"system-status.status", "instance-status.status"} {
		in := &ec2.DescribeInstanceStatusInput{MaxResults: aws.Int32(pageSize), Filters: []types.Filter{filter(name, "impaired")}}
		if err := ask(in); err != nil && !refused(err) { // where it is refused, the cloud makes no such checks
			return nil, err
		}
	}
	return out, nil
}

func stateOf(i *types.Instance) types.InstanceStateName {
	if i.State == nil {
		return ""
	}
	return i.State.Name
}
