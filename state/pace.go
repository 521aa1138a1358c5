package state

import "time"

const (
	// tarryMost is how long changes that nobody waits for are left for others to join them.
	tarryMost = 2 * time.Millisecond

	// lingerMost is how long a change waits for company at most, from its coming on, so that what came during the last
	// commit has waited a part of it already. With the commit itself it stays below the 10 ms that anyone may have to
	// wait, and a level of 1,000 services (some 3,000 changes in 1.3 s) costs about 150 commits.
	lingerMost = 8 * time.Millisecond

	// lingerQuiet without a further change ends a wait: what was expected is not coming.
	lingerQuiet = 5 * time.Millisecond

	// lingerSoon is when those are back who waited for the last commit and had nothing else to do. Who
	// comes later than that is load, and would have had a commit of its own.
	lingerSoon = time.Millisecond

	// lingerEnough changes need no further company: the fsync is the lesser part of their commit.
	lingerEnough = 64

	// Load is when changes come during three of five commits, or of a few more. Those who wait for a commit cannot come
	// during it, so one service's chain, or several that take turns, are not taken for load.
	loadHit   = 4 // for a commit during which somebody came; one is taken away for each other commit
	loadFull  = 16
	loadIsOne = 10

	// restCommits go by after a wait that nobody joined, twice as many after the next, restMost at most:
	// where waiting does not pay the price of finding out goes to nothing.
	restCommits = 8
	restMost    = 512
)

// A pace decides when a writer waits for company before it commits. Under load a short wait saves most
// of the fsyncs; without load it would only be felt.
type pace struct {
	load int  // rises with each commit during which changes came
	busy bool // the last wait brought some
	rest int  // commits to go before another wait is tried
	next int  // what rest will be after a wait in vain
}

// wait says how long a batch that has n changes so far may wait for more, when some came during the
// last commit or not.
func (p *pace) wait(n int, during bool) time.Duration {
	if during {
		p.load = min(p.load+loadHit, loadFull)
	} else {
		p.load = max(p.load-1, 0)
	}
	if p.rest > 0 {
		p.rest--
		return 0
	}
	if n < lingerEnough && p.loaded() {
		return lingerMost
	}
	return 0
}

// loaded says whether changes come from many sides, so that a wait pays.
func (p *pace) loaded() bool { return p.busy || p.load >= loadIsOne }

// learn takes how long after the beginning of a wait the last change came; 0: none did.
func (p *pace) learn(last time.Duration) {
	p.busy = last > lingerSoon
	if last > 0 {
		p.next = restCommits
		return
	}
	p.rest = max(p.next, restCommits)
	p.next = min(2*p.rest, restMost)
}
