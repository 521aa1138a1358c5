package state

import "time"

const (
	// lingerMost is how long a change waits for company at most. With the commit itself it stays below the 10 ms that
	// anyone may have to wait, and a level of 1,000 services (some 3,000 changes in 1.3 s) costs about 150 commits.
	lingerMost = 8 * time.Millisecond

	// lingerQuiet without a further change ends a wait: what was expected is not coming.
	lingerQuiet = 3 * time.Millisecond

	// lingerEnough changes need no further company: the fsync is the lesser part of their commit.
	lingerEnough = 64

	// crowd is how many changes at once make it worth while to wait for more. A commit costs as much as some forty
	// changes, but one or two that come alone have somebody waiting behind each.
	crowd = 3

	// restBatches is how many commits go by after a wait that was in vain. Ten services that take turns fill each
	// batch by themselves; this keeps the price of finding that out at a twentieth of a commit.
	restBatches = 16
)

// A pace decides when a writer waits for company before it commits. Under load a short wait saves most
// of the fsyncs; without load it would only be felt.
type pace struct {
	busy bool // the last wait brought a crowd
	rest int  // commits to go before another wait is tried
}

// wait says how long a batch that has n changes so far may wait for more.
func (p *pace) wait(n int) time.Duration {
	if n >= lingerEnough {
		return 0
	}
	if p.rest > 0 {
		p.rest--
		return 0
	}
	if p.busy || n >= crowd {
		return lingerMost
	}
	return 0
}

// learn takes how many changes came during a wait.
func (p *pace) learn(came int) {
	p.busy = came >= crowd
	if !p.busy {
		p.rest = restBatches
	}
}
