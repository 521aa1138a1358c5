package proc

import (
	"context"
	"time"
)

// pollEvery is how often a process is looked at that gives no event of its end.
const pollEvery = 250 * time.Millisecond

func pollUntilGone(ctx context.Context, id ID) error {
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
