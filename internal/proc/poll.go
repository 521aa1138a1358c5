package proc

import (
	"context"
	"time"
)

// pollEvery is how often a process is looked at that gives no event of its end.
const pollEvery = 100 * time.Millisecond

func pollUntilGone(ctx context.Context, id Identity) error {
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for id.Alive() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
	return nil
}
