// Package ec2test is an endpoint that speaks the EC2 and Auto Scaling Query
// APIs as an AWS SDK does, with machines behind it: every instance gets its
// own loopback address, and after its time a real SSH server answers there,
// with the host key that its user data gave it, and really runs what it is
// told to. It follows the public API reference, including what makes the real
// service awkward: instances take time, new ids are unknown for a while, calls
// are throttled, answers are lost after their effect.
//
// It needs no SDK: requests are form values, answers are XML.
package ec2test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Delay is a range from which each instance draws its own time.
type Delay struct {
	Min, Max time.Duration
}

// Options say what kind of cloud the endpoint is. The zero value is one where
// everything happens at once.
type Options struct {
	Listen  string        // address of the endpoint itself; "" means a free port on 127.0.0.1
	Pending Delay         // from RunInstances to the state running
	Boot    Delay         // from running to an SSH server that answers
	Ending  time.Duration // from TerminateInstances to the state terminated
	Forget  time.Duration // how long terminated instances are still described; 0 means an hour

	Images   []string // ids that exist; none means ami-12345678
	Groups   []string // names of security groups besides "default"
	OtherVPC bool     // there is a second VPC, not the default one, with groups of the same names
	Profiles []string // names of IAM instance profiles that exist

	Region      string // where the endpoint is: it takes calls that are signed for it alone; "" means us-west-2
	Account     string // whose everything is; "" means 123456789012
	AccessKeyID string // whose signature is accepted; "" means any
	OpenSSH     bool   // each machine is a real sshd process, not a server in this one
	SSHPort     int    // where machines answer; 0 means a free port
	Root        string // directory of the machines; "" means a temporary one, removed by Close
	Seed        uint64 // of the delays
	Faults      Faults
}

// A Server is a running endpoint. Its methods are safe for concurrent use.
type Server struct {
	URL     string
	SSHPort int

	opt      Options
	http     *httptest.Server
	ownsRoot bool
	stop     context.CancelFunc
	ctx      context.Context // ends with Close; machines live in it
	machines sync.WaitGroup
	reaper   reaper
	changes  changes

	mu        sync.Mutex // guards everything below
	rng       *rand.Rand
	seq       int
	salt      uint32  // of ids: machines of two endpoints are never taken for each other
	network   [2]byte // second octets of this endpoint's private and public addresses
	instances map[string]*instance
	order     []*instance // in the order of their launch: what paging walks
	tokens    map[string]*tokenUse
	keys      map[string]*keyPair
	templates map[string]*launchTemplate
	groups    map[string]*scalingGroup
	kickScale chan struct{}
	faults    Faults
	requests  *bucket
	starts    *bucket
	report    Report
	tagged    map[string]*tagSet // tags of what is not an instance
}

// New starts an endpoint. The caller closes it.
func New(opt Options) (*Server, error) {
	fillDefaults(&opt)
	s := &Server{
		opt:       opt,
		rng:       rand.New(rand.NewPCG(opt.Seed, 1)),
		instances: map[string]*instance{},
		tokens:    map[string]*tokenUse{},
		keys:      map[string]*keyPair{},
		templates: map[string]*launchTemplate{},
		groups:    map[string]*scalingGroup{},
		tagged:    map[string]*tagSet{},
		kickScale: make(chan struct{}, 1),
		report:    Report{Calls: map[string]int{}, Errors: map[string]int{}},
	}
	// Two endpoints at a time, in two test processes, must not share addresses.
	s.salt = rand.Uint32()
	second := byte(64 + rand.IntN(64))
	s.network = [2]byte{second, second + 64}
	s.setFaults(opt.Faults)
	if err := s.prepare(); err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.http = httptest.NewUnstartedServer(s)
	if opt.Listen != "" {
		l, err := net.Listen("tcp", opt.Listen)
		if err != nil {
			return nil, err
		}
		s.http.Listener.Close()
		s.http.Listener = l
	}
	s.http.Start()
	s.URL = s.http.URL
	s.machines.Go(s.keepScalingGroups)
	return s, nil
}

func fillDefaults(opt *Options) {
	if len(opt.Images) == 0 {
		opt.Images = []string{"ami-12345678"}
	}
	if opt.Forget == 0 {
		opt.Forget = time.Hour
	}
	if opt.Region == "" {
		opt.Region = "us-west-2"
	}
	if opt.Account == "" {
		opt.Account = "123456789012"
	}
	if opt.Seed == 0 {
		opt.Seed = 1
	}
}

func (s *Server) prepare() error {
	if s.SSHPort = s.opt.SSHPort; s.SSHPort == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s.SSHPort = l.Addr().(*net.TCPAddr).Port
		l.Close()
	}
	if s.opt.Root == "" {
		root, err := os.MkdirTemp("", "ec2test-")
		if err != nil {
			return fmt.Errorf("make the directory of the machines: %w", err)
		}
		s.opt.Root, s.ownsRoot = root, true
	}
	return nil
}

// changes tells whoever waits that something has happened.
type changes struct {
	mu   sync.Mutex
	next chan struct{}
}

// Changed is closed at the next change that takes place by itself: a machine has booted,
// written to its console or ended, an instance is terminated. Take it before you look.
func (s *Server) Changed() <-chan struct{} {
	s.changes.mu.Lock()
	defer s.changes.mu.Unlock()
	if s.changes.next == nil {
		s.changes.next = make(chan struct{})
	}
	return s.changes.next
}

func (c *changes) tell() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next != nil {
		close(c.next)
		c.next = nil
	}
}

// Start starts an endpoint that ends with the test.
func Start(t testing.TB, opt Options) *Server {
	t.Helper()
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Close ends the endpoint and its machines with every process on them.
func (s *Server) Close() error {
	s.http.CloseClientConnections()
	s.http.Close()
	s.stop()
	s.machines.Wait()
	if s.ownsRoot {
		return os.RemoveAll(s.opt.Root)
	}
	return nil
}

// Env is what a program needs in its environment to use this endpoint.
func (s *Server) Env() []string {
	key := s.opt.AccessKeyID
	if key == "" {
		key = "AKIDEC2TEST"
	}
	return []string{
		"AWS_ENDPOINT_URL=" + s.URL,
		"AWS_REGION=" + s.opt.Region,
		"AWS_ACCESS_KEY_ID=" + key,
		"AWS_SECRET_ACCESS_KEY=secret-of-the-test-endpoint",
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// A handler changes and reads the model under s.mu.
type handler func(s *Server, p params) (answer, error)

var ec2Actions = map[string]handler{
	"RunInstances":            (*Server).runInstances,
	"DescribeInstances":       (*Server).describeInstances,
	"DescribeInstanceStatus":  (*Server).describeInstanceStatus,
	"TerminateInstances":      (*Server).terminateInstances,
	"RebootInstances":         (*Server).rebootInstances,
	"GetConsoleOutput":        (*Server).getConsoleOutput,
	"CreateTags":              (*Server).createTags,
	"DescribeTags":            (*Server).describeTags,
	"CreateKeyPair":           (*Server).createKeyPair,
	"ImportKeyPair":           (*Server).importKeyPair,
	"DeleteKeyPair":           (*Server).deleteKeyPair,
	"DescribeKeyPairs":        (*Server).describeKeyPairs,
	"DescribeSecurityGroups":  (*Server).describeSecurityGroups,
	"DescribeSubnets":         (*Server).describeSubnets,
	"DescribeImages":          (*Server).describeImages,
	"CreateLaunchTemplate":    (*Server).createLaunchTemplate,
	"DeleteLaunchTemplate":    (*Server).deleteLaunchTemplate,
	"DescribeLaunchTemplates": (*Server).describeLaunchTemplates,
}

var scalingActions = map[string]handler{
	"CreateAutoScalingGroup":              (*Server).createAutoScalingGroup,
	"UpdateAutoScalingGroup":              (*Server).updateAutoScalingGroup,
	"SetDesiredCapacity":                  (*Server).setDesiredCapacity,
	"DescribeAutoScalingGroups":           (*Server).describeAutoScalingGroups,
	"DescribeScalingActivities":           (*Server).describeScalingActivities,
	"DeleteAutoScalingGroup":              (*Server).deleteAutoScalingGroup,
	"TerminateInstanceInAutoScalingGroup": (*Server).terminateInScalingGroup,
}

var identityActions = map[string]handler{
	"GetCallerIdentity": func(s *Server, _ params) (answer, error) {
		return answer{{"Arn", "arn:aws:iam::" + s.opt.Account + ":root"}, {"UserId", s.opt.Account}, {"Account", s.opt.Account}}, nil
	},
}

// maxRequest bounds a request's body: user data is at most 16 KB, ids a few
// bytes each, so a megabyte is far above any call that the real service takes.
const maxRequest = 1 << 20

// ServeHTTP answers one API call, or one of the endpoint's own under /_ec2test/.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, metadataPath) {
		s.serveMetadata(w, r)
		return
	}
	if r.URL.Path != "/" {
		s.serveControl(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	action := r.Form.Get("Action")
	handlers, protocol := ec2Actions, ec2Protocol
	switch r.Form.Get("Version") {
	case scalingProtocol.version:
		handlers, protocol = scalingActions, scalingProtocol
	case identityProtocol.version:
		handlers, protocol = identityActions, identityProtocol
	}
	result, lost, err := s.call(w.Header(), r, handlers, action)
	switch {
	case lost:
		panic(http.ErrAbortHandler) // the effect took place; nobody hears of it
	case err != nil:
		protocol.writeError(w, err)
	default:
		protocol.write(w, action, result)
	}
}

// call makes one API call. Its answer is lost where a fault says so.
func (s *Server) call(head http.Header, r *http.Request, handlers map[string]handler, action string) (result answer, lost bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	head.Set("Date", s.clock().UTC().Format(http.TimeFormat))
	s.report.Calls[action]++
	defer func() {
		if e, ok := errors.AsType[*Error](err); ok {
			s.report.Errors[e.Code]++
		}
	}()
	h, ok := handlers[action]
	if !ok {
		return nil, false, fault(http.StatusBadRequest, "InvalidAction", "The action %s is not valid for this web service.", action)
	}
	if err := s.authenticate(r); err != nil {
		return nil, false, err
	}
	if err := s.faultBefore(action, r.Form.Get("Version") == scalingProtocol.version); err != nil {
		return nil, false, err
	}
	if s.faults.SamePage {
		r.Form.Del("NextToken")
	}
	result, err = h(s, params{values: r.Form})
	if s.faults.SamePage && err == nil {
		result = append(result, field{"nextToken", "again"}, field{"NextToken", "again"})
	}
	return result, s.loseAnswer(action), err
}
