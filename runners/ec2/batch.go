package ec2

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/launchplan/launch/runners"
)

const (
	// batchSize is what one RunInstances call asks for: the reference recommends
	// several calls for a hundred each to one for five hundred.
	batchSize = 100
	// tokenLife is how long EC2 remembers a client token for certain.
	tokenLife = 12 * time.Hour
)

// A batch is one RunInstances call: instance k is that of services[k].
type batch struct {
	batchRecord
	token    string
	services []string
	shared   []string // services as tag values
	died     error    // of an instance that ended before it was anybody's
	owner    string   // the account, where the answer tells
	foreign  bool     // its call was made with another profile or endpoint than this runner's
}

// batchRecord is what the ledger keeps of a batch.
type batchRecord struct {
	Region      string    `json:"region"`
	Cloud       string    `json:"cloud,omitempty"` // see cloudKey
	Count       int       `json:"count"`
	Least       int       `json:"least,omitempty"` // fewer are not started; 0 means 1
	Fingerprint string    `json:"fingerprint"`
	Asked       time.Time `json:"asked"`
	Repeated    time.Time `json:"repeated,omitzero"` // when the call was last made again
}

// resource is the ledger's row of a batch that has come to a status.
func (b *batch) resource(status string) (runners.Resource, error) {
	data, err := json.Marshal(b.batchRecord)
	return runners.Resource{Kind: kindBatch, Key: b.token, Status: status, Data: string(data)}, err
}

func (b *batch) least() int { return max(b.Least, 1) }

// shows is when all that the batch's calls have started can be seen.
func (b *batch) shows() time.Time {
	last := b.Asked
	if b.Repeated.After(last) {
		last = b.Repeated
	}
	return last.Add(consistency)
}

// without are the services that have none of these instances.
func (b *batch) without(list []held) []string {
	return slices.DeleteFunc(slices.Clone(b.services), func(service string) bool {
		return slices.ContainsFunc(list, func(h held) bool { return h.Service == service })
	})
}

func (b *batch) what(c Config) string {
	if len(b.services) == 1 {
		return fmt.Sprintf("an instance of %s for %s", c.InstanceType, b.services[0])
	}
	return fmt.Sprintf("%d instances of %s for %s to %s", len(b.services), c.InstanceType, b.services[0], b.services[len(b.services)-1])
}

// intend cuts services into batches, each for all or none or for as many as can
// be had, and records them all, in one transaction, before any call.
func (r *Runner) intend(ctx context.Context, t *template, services []string, allOrNone bool) ([]*batch, error) {
	var batches []*batch
	var all []runners.Resource
	var rows []held
	made, err := r.made()
	if err != nil {
		return nil, err
	}
	for len(services) > 0 {
		n := min(len(services), batchSize)
		shared, ok := shareOut(services[:n])
		for ; !ok && n > 1; shared, ok = shareOut(services[:n]) {
			n /= 2 // their names do not fit into the tags
		}
		b := &batch{
			batchRecord: batchRecord{Region: r.cloud.region, Cloud: cloudKey(r.config), Count: n, Least: 1, Asked: time.Now().UTC()},
			token:       newToken(r.env.RunID), services: services[:n], shared: shared,
		}
		if allOrNone {
			b.Least = n
		}
		services = services[n:]
		if b.Fingerprint, err = r.fingerprint(t.request(b)); err != nil {
			return nil, err
		}
		row, err := b.resource("wanted")
		if err != nil {
			return nil, err
		}
		for k, service := range b.services {
			rows = append(rows, held{
				runners.Resource{Kind: kindInstance, Key: instanceKey(b.token, k), Service: service, Status: "wanted"},
				record{Region: r.cloud.region, Batch: b.token, Index: k, Asked: b.Asked, HostKey: t.hostKey, Made: made},
			})
		}
		batches, all = append(batches, b), append(all, row)
	}
	r.mu.Lock()
	for _, b := range batches {
		r.intended[b.token] = true
	}
	r.mu.Unlock()
	return batches, r.put(ctx, all, rows...)
}

func instanceKey(token string, k int) string { return fmt.Sprintf("%s#%04d", token, k) }

// newToken makes a client token: the run's id and 64 random bits, within EC2's 64 characters.
func newToken(runID string) string {
	var b [8]byte
	rand.Read(b[:])
	return "launch-" + runID + "-" + hex.EncodeToString(b[:])
}

// recordRepeat records that a batch's call is about to be made again: until when
// its effect may be unseen is counted from there.
func (r *Runner) recordRepeat(ctx context.Context, b *batch) error {
	b.Repeated = time.Now().UTC()
	row, err := b.resource("wanted")
	if err != nil {
		return err
	}
	return r.put(ctx, []runners.Resource{row})
}

// giveUp records that a batch was not started.
func (r *Runner) giveUp(ctx context.Context, b *batch) error {
	var rows []held
	for _, h := range r.all() {
		if h.Batch == b.token && h.Status == "wanted" {
			h.Status = "gone"
			rows = append(rows, h)
		}
	}
	row, err := b.resource("gone")
	if err != nil {
		return err
	}
	return r.put(ctx, []runners.Resource{row}, rows...)
}
