package ec2test

import (
	"maps"
	"net/http"
	"strings"
	"time"
)

// Faults are what the endpoint does wrong on purpose. They can be changed
// while it runs, by SetFaults or by POST /_ec2test/faults.
type Faults struct {
	// Throttling: a bucket of Burst calls that is refilled by Rate per second,
	// and one of the same kind for instances started. No rate means no limit.
	Rate, Burst           float64
	StartRate, StartBurst float64

	NotFoundFor   time.Duration // new instances are unknown for that long
	TagsHiddenFor time.Duration // new tags are not seen for that long
	LateFor       time.Duration // the same as NotFoundFor for the first instance of each call alone
	NamesLateFor  time.Duration // new key pairs and launch templates are unknown for that long to the calls that name them

	LoseAnswers map[string]int   // by action: of how many next calls the answer is lost after the effect
	Refuse      map[string]Error // by action: the error that every call gets; its Code "" allows it again
	RefuseAfter map[string]int   // by action: how many next calls Refuse lets pass
	RefuseTimes map[string]int   // by action: how many calls Refuse refuses before it lets all pass; none given means all
	Capacity    *int             // how many more instances can be started before InsufficientInstanceCapacity
	MaxVCPUs    int              // quota of vCPUs of instances at a time (VcpuLimitExceeded); 0 means none
	MaxSpot     *int             // how many spot instances there may be (MaxSpotInstanceCountExceeded)
	DieStarting int              // how many of the next instances go from pending to terminated
	ClockAhead  time.Duration    // how far the endpoint's clock is ahead: it takes calls signed within five minutes of it
	BadGateways map[string]int   // by action: how many next calls get status 502 and a page of HTML
	NoConsole   bool             // console output stays empty

	// What compatible clouds leave out.
	UnknownFilters []string // a call with a filter of such a name gets status 500 and a page of HTML
	IgnoreFilters  bool     // every filter matches everything
	BlindFilters   []string // nothing matches filters of such a name
	IgnoreTokens   bool     // client tokens are kept with instances, but a call that is repeated has its effect again
	RefuseTokens   bool     // RunInstances with a client token is refused
	OnlyMinCount   bool     // no more instances are started than MinCount says
	NoTagSpecs     bool     // tags that RunInstances is given are dropped; CreateTags works
	RefuseTagSpecs bool     // RunInstances and ImportKeyPair with tags are refused; CreateTags works
	Untold         bool     // the answer of RunInstances tells of none of its instances
	Unnumbered     bool     // instances have no launch index
	PlainConsole   bool     // the console output is not encoded
	NoMetadata     bool     // RunInstances with MetadataOptions is refused
	SamePage       bool     // each page of an answer says that the same one is to follow
	NoLatest       bool     // the console output cannot be had with Latest
	OnlyLatest     bool     // without Latest the console output is that of a while ago: empty
	OnlyIPv6       bool     // instances have no IPv4 address
	ZeroAddresses  bool     // an address that an instance does not have (yet) is 0.0.0.0
	KeepsMembers   bool     // instances go on when their Auto Scaling group is deleted
	Unterminated   bool     // TerminateInstances does not know an instance that has ended
}

// A Report is what the endpoint saw.
type Report struct {
	Calls  map[string]int // API calls by action, refused ones too
	Errors map[string]int // errors by code
	Total  int            // of Calls
	// Minimum is the shortest time in which the instances could have been had:
	// the longest way of one to its SSH server, and what the buckets withheld.
	Minimum   time.Duration
	Started   int            // instances ever started
	Logins    int            // SSH connections that got as far as a login, where the machines have this package's SSH server
	States    map[string]int // instances by state
	KeyPairs  int
	Templates int
	Groups    int // Auto Scaling groups
}

// SetFaults replaces the faults.
func (s *Server) SetFaults(f Faults) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setFaults(f)
}

func (s *Server) setFaults(f Faults) {
	for _, counted := range []*map[string]int{&f.LoseAnswers, &f.RefuseAfter, &f.RefuseTimes, &f.BadGateways} {
		*counted = maps.Clone(*counted)
	}
	if f.Capacity != nil {
		n := *f.Capacity
		f.Capacity = &n
	}
	s.faults = f
	s.requests = newBucket(f.Rate, f.Burst)
	s.starts = newBucket(f.StartRate, f.StartBurst)
}

// Report returns what has happened so far.
func (s *Server) Report() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Calls, r.Errors, r.States = maps.Clone(r.Calls), maps.Clone(r.Errors), map[string]int{}
	for _, n := range r.Calls {
		r.Total += n
	}
	now := time.Now()
	for _, i := range s.order {
		r.States[i.state(now).name]++
	}
	r.KeyPairs, r.Templates, r.Groups = len(s.keys), len(s.templates), len(s.groups)
	return r
}

// faultBefore refuses a call before it has any effect.
func (s *Server) faultBefore(action string, scaling bool) error {
	if !s.requests.take(1, time.Now()) {
		if scaling {
			return fault(http.StatusBadRequest, "Throttling", "Rate exceeded")
		}
		return fault(http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded.")
	}
	if s.faults.RefuseAfter[action] > 0 {
		s.faults.RefuseAfter[action]--
		return nil
	}
	if s.faults.BadGateways[action] > 0 {
		s.faults.BadGateways[action]--
		return &htmlPage{http.StatusBadGateway, "<html><body>502 Bad Gateway</body></html>"}
	}
	if left, limited := s.faults.RefuseTimes[action]; limited {
		if left == 0 {
			return nil
		}
		s.faults.RefuseTimes[action]--
	}
	if e, ok := s.faults.Refuse[action]; ok && e.Code != "" {
		if e.Status == 0 {
			e.Status = http.StatusBadRequest
		}
		return &e
	}
	return nil
}

func (s *Server) loseAnswer(action string) bool {
	if s.faults.LoseAnswers[action] == 0 {
		return false
	}
	s.faults.LoseAnswers[action]--
	return true
}

// signedWithin is how far the time of a call's signature may be from the endpoint's.
const signedWithin = 5 * time.Minute

func (s *Server) clock() time.Time { return time.Now().Add(s.faults.ClockAhead) }

// authenticate looks at who signed the request. It does not compute the
// signature: the endpoint is about what clients send, not about the SDK.
func (s *Server) authenticate(r *http.Request) error {
	refused := fault(http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials")
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok || !strings.Contains(rest, "Signature=") || !strings.Contains(rest, "SignedHeaders=") {
		return refused
	}
	_, credential, ok := strings.Cut(rest, "Credential=")
	scope := strings.Split(strings.SplitN(credential, ",", 2)[0], "/")
	if !ok || len(scope) != 5 || scope[2] != s.opt.Region || scope[4] != "aws4_request" {
		return refused // an endpoint is that of one region
	}
	if signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date")); err != nil || s.clock().Sub(signed).Abs() > signedWithin {
		return fault(http.StatusBadRequest, "RequestExpired", "Request has expired. Timestamp date is %s", r.Header.Get("X-Amz-Date"))
	}
	if s.opt.AccessKeyID != "" && scope[0] != s.opt.AccessKeyID {
		return refused
	}
	return nil
}

// A bucket holds tokens for calls; it is nil where nothing is limited.
type bucket struct {
	rate, burst, level float64
	at                 time.Time
}

func newBucket(rate, burst float64) *bucket {
	if rate <= 0 {
		return nil
	}
	burst = max(burst, 1)
	return &bucket{rate: rate, burst: burst, level: burst, at: time.Now()}
}

func (b *bucket) take(n float64, now time.Time) bool {
	if b == nil {
		return true
	}
	b.level = min(b.burst, b.level+now.Sub(b.at).Seconds()*b.rate)
	b.at = now
	if b.level < n {
		return false
	}
	b.level -= n
	return true
}

// withheld is how long a bucket makes anyone wait who wants n in all.
func (b *bucket) withheld(n float64) time.Duration {
	if b == nil || n <= b.burst {
		return 0
	}
	return time.Duration((n - b.burst) / b.rate * float64(time.Second))
}
