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

	// streakEnough commits in a row, during each of which somebody came, are load. Those who wait for a commit cannot come
	// during it, so services that take turns are not taken for load, however many they are.
	streakEnough = 4

	// restCommits go by after a wait that ended in quiet: what that costs those who take turns stays a tenth.
	restCommits = 32
)

// A pace decides when a writer waits for company before it commits. Under load a short wait saves most
// of the fsyncs; without load it would only be felt.
type pace struct {
	streak int  // commits in a row during which changes came
	busy   bool // changes kept coming all through the last wait
	rest   int  // commits to go before another wait is tried
}

// wait says how long a batch that has n changes so far may wait for more, when some came during the
// last commit or not.
func (p *pace) wait(n int, during bool) time.Duration {
	p.streak++
	if !during {
		p.streak = 0
	}
	if p.rest > 0 {
		p.rest--
		return 0
	}
	if n < lingerEnough && (p.busy || p.streak >= streakEnough) {
		return lingerMost
	}
	return 0
}

// learn takes how a wait ended: in quiet, or with changes still coming.
func (p *pace) learn(quiet bool) {
	p.busy = !quiet
	if quiet {
		p.streak, p.rest = 0, restCommits
	}
}
