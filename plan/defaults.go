package plan

import "time"

// Defaults where a plan says nothing, and bounds on what it may ask for.
const (
	ProgramTimeout = 20 * time.Minute // long enough for a package installation, short enough to notice
	ReadyTimeout   = 5 * time.Minute
	MinInterval    = 100 * time.Millisecond // most services answer within it
	MaxInterval    = 2 * time.Second        // more often would only add load to what is slow already
	StopTimeout    = 10 * time.Second
	StopSignal     = "SIGTERM"
	RetryDelay     = time.Second // grows with each retry
	MaxSnapshot    = 64 << 20
	MaxServices    = 1_000_000 // more is a mistake in a count
	MinSecret      = 4         // shorter strings cannot be masked without wrecking the text around them
	MinSecretLine  = 8         // of a secret of several lines: a shorter one is rather a name, a bracket or the rest of a key
)

const (
	minDuration = time.Millisecond
	maxDuration = 30 * 24 * time.Hour // longer is a mistake in the unit
	maxRetries  = 1000
	maxAttempts = 1_000_000
)
