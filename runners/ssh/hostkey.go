package ssh

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/launchplan/launch/runners"
)

// pinKind is the kind under which accepted host keys are in the run's ledger.
const pinKind = "host-key"

// hostKeys decides about the key that a host shows in one handshake.
type hostKeys struct {
	check      ssh.HostKeyCallback
	algorithms []string      // only those for which the host's key is known: one with several is not "changed"
	accepted   ssh.PublicKey // a new key, to be pinned
	err        error         // why the key was refused
}

// hostKeys finds out which keys the host may have: those that its Endpoint
// names, else what known_hosts says, else what this run accepted before.
func (r *Runner) hostKeys(end Endpoint) (*hostKeys, error) {
	if len(end.HostKeys) > 0 {
		return pinned(end, end.HostKeys, "the key that was given for it"), nil
	}
	known, err := r.known.load(r.knownHostsFiles(end), r.env.Dir)
	if err != nil {
		return nil, err
	}
	address := end.knownAddress()
	want, hasCA, err := known.wanted(address)
	if err != nil {
		return nil, err
	}
	if len(want) == 0 && r.config.HostKeyPolicy == policyAcceptNew {
		if pin, err := r.pinOf(end); err != nil {
			return nil, err
		} else if pin != nil {
			return pinned(end, []ssh.PublicKey{pin}, "the key that this run accepted when it first met the host"), nil
		}
	}
	k := &hostKeys{algorithms: algorithms(want, hasCA)}
	k.check = func(_ string, remote net.Addr, key ssh.PublicKey) error {
		err := known.check(address, remote, key)
		if unknown, ok := errors.AsType[*knownhosts.KeyError](err); ok && len(unknown.Want) == 0 && r.config.HostKeyPolicy == policyAcceptNew {
			k.accepted = key
			return nil
		}
		if err != nil {
			k.err = r.keyError(end, key, known, err)
		}
		return k.err
	}
	return k, nil
}

// pinned accepts one of keys and nothing else.
func pinned(end Endpoint, keys []ssh.PublicKey, what string) *hostKeys {
	k := &hostKeys{algorithms: algorithms(keys, false)}
	k.check = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		for _, want := range keys {
			if bytes.Equal(want.Marshal(), key.Marshal()) {
				return nil
			}
		}
		k.err = fmt.Errorf("the host key of %s has changed: it shows %s, but %s is %s. %s. If the new key is right, give it in the plan (host_key) or start a new run",
			end, describe(key), what, describe(keys[0]), eitherOr)
		return k.err
	}
	return k
}

const eitherOr = "Either the machine was installed anew or its address was given to another one, or somebody stands between you and it; find out which before anything else"

func (r *Runner) keyError(end Endpoint, key ssh.PublicKey, known *knownHosts, err error) error {
	if revoked, ok := errors.AsType[*knownhosts.RevokedError](err); ok {
		return fmt.Errorf("%s shows the host key %s, which is marked as revoked in %s. Do not trust this machine until its key was replaced",
			end, describe(key), known.place(revoked.Revoked))
	}
	files := strings.Join(r.knownHostsFiles(end), " or ")
	mismatch, ok := errors.AsType[*knownhosts.KeyError](err)
	switch {
	case !ok: // a certificate: of no known authority, expired, for other names
		return fmt.Errorf("%s shows a host certificate that does not hold: %w", end, err)
	case len(mismatch.Want) == 0:
		return fmt.Errorf("the host key of %s is not known: it shows %s, and %s has none for it. Compare that with the machine's own (on its console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), "+
			"then connect once with ssh to record it, or put it into the plan with host_key = %q, or set host_key_policy = %q",
			end, describe(key), files, authorizedKey(key), policyAcceptNew)
	}
	return fmt.Errorf("the host key of %s has changed: it shows %s, but %s has %s. %s. If the new key is right, remove the old one with: ssh-keygen -R %q",
		end, describe(key), known.place(mismatch.Want[0]), describe(mismatch.Want[0].Key), eitherOr, knownhosts.Normalize(end.knownAddress()))
}

func describe(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }

func authorizedKey(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func (e Endpoint) knownAddress() string {
	return net.JoinHostPort(orElse(e.KnownAs, e.Address), strconv.Itoa(e.Port))
}

func (r *Runner) knownHostsFiles(end Endpoint) []string {
	if r.config.KnownHostsFile != "" {
		return []string{r.expand(r.config.KnownHostsFile)}
	}
	if len(end.knownHosts) > 0 {
		return end.knownHosts
	}
	return []string{filepath.Join(r.home(), ".ssh", "known_hosts"), filepath.Join(r.home(), ".ssh", "known_hosts2"), "/etc/ssh/ssh_known_hosts"}
}

// pin records a newly accepted key, durably, before the connection is used.
func (r *Runner) pin(ctx context.Context, end Endpoint, keys *hostKeys) error {
	if keys.accepted == nil {
		return nil
	}
	data, err := json.Marshal(map[string]string{"key": authorizedKey(keys.accepted)})
	if err != nil {
		return err
	}
	err = r.env.Ledger.Put(ctx, runners.Resource{
		Kind: pinKind, Key: end.knownAddress(), ID: ssh.FingerprintSHA256(keys.accepted), Status: "live", Data: string(data),
	})
	if err != nil {
		return fmt.Errorf("record the host key of %s: %w", end, err)
	}
	return nil
}

// pinOf returns the key that this run accepted for the host; nil where it met none yet.
func (r *Runner) pinOf(end Endpoint) (ssh.PublicKey, error) {
	for _, res := range r.env.Ledger.List(pinKind) {
		if res.Key != end.knownAddress() {
			continue
		}
		var data struct{ Key string }
		if err := json.Unmarshal([]byte(res.Data), &data); err != nil {
			return nil, fmt.Errorf("the recorded host key of %s: %w", end, err)
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(data.Key))
		if err != nil {
			return nil, fmt.Errorf("the recorded host key of %s: %w", end, err)
		}
		return key, nil
	}
	return nil, nil
}

// algorithms are those with which a host can show one of keys, or a certificate.
func algorithms(keys []ssh.PublicKey, certificates bool) []string {
	if len(keys) == 0 && !certificates {
		return []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	var names []string
	if certificates {
		names = append(names, ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01)
	}
	for _, key := range keys {
		if key.Type() == ssh.KeyAlgoRSA {
			names = append(names, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			names = append(names, key.Type())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A knownCache keeps known_hosts files parsed while they stay as they are: a
// thousand hosts are checked against the same ones.
type knownCache struct {
	mu     sync.Mutex
	loaded map[string]*knownHosts // by the files' names, sizes and times
}

// knownHosts are parsed known_hosts files.
type knownHosts struct {
	check     ssh.HostKeyCallback
	original  map[string]string   // a file as it was parsed -> the operator's
	authority map[string][]string // a file as it was parsed -> its lines
}

// load parses files. The parser refuses a file for one line that it cannot read
// (a key type of tomorrow), so it is given copies without those, in dir.
func (c *knownCache) load(files []string, dir string) (*knownHosts, error) {
	var version strings.Builder
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			fmt.Fprintf(&version, "%s %d %d\n", f, info.Size(), info.ModTime().UnixNano())
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.loaded[version.String()]; k != nil {
		return k, nil
	}
	k := &knownHosts{original: make(map[string]string), authority: make(map[string][]string)}
	var copies []string
	for _, f := range files {
		lines, err := readKnownHosts(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		copied, err := os.CreateTemp(dir, "known_hosts-*")
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", f, err)
		}
		defer os.Remove(copied.Name())
		_, err = copied.WriteString(strings.Join(lines, "\n") + "\n")
		if err = errors.Join(err, copied.Close()); err != nil {
			return nil, fmt.Errorf("copy %s: %w", f, err)
		}
		copies = append(copies, copied.Name())
		k.original[copied.Name()], k.authority[copied.Name()] = f, lines
	}
	var err error
	if k.check, err = knownhosts.New(copies...); err != nil {
		return nil, fmt.Errorf("read %s: %w", strings.Join(files, ", "), err)
	}
	c.loaded = map[string]*knownHosts{version.String(): k}
	return k, nil
}

// readKnownHosts returns the file's lines, blank where they cannot be understood.
// A revocation that cannot be is an error: to skip it would be to trust the key.
func readKnownHosts(name string) ([]string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(data), "\n")
	for i, l := range lines {
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' {
			continue
		}
		if _, err := knownHostsLine(l); err != nil {
			if strings.HasPrefix(l, "@revoked") {
				return nil, fmt.Errorf("%s:%d: a revoked key that cannot be read: %w", name, i+1, err)
			}
			lines[i] = ""
		}
	}
	return lines, nil
}

func knownHostsLine(l string) (marker string, err error) {
	marker, hosts, _, _, _, err := ssh.ParseKnownHosts([]byte(l))
	if err == nil && slices.ContainsFunc(hosts, func(h string) bool {
		return h == "!" || strings.HasPrefix(h, "[") && !strings.Contains(h, "]:") || strings.HasPrefix(h, "|") && len(strings.Split(h, "|")) != 4
	}) {
		err = errors.New("a host pattern that cannot be read")
	}
	return marker, err
}

// wanted returns the keys known for address, and whether an authority may vouch for it.
func (k *knownHosts) wanted(address string) (keys []ssh.PublicKey, authority bool, err error) {
	probe, err := probeKey()
	if err != nil {
		return nil, false, err
	}
	err = k.check(address, &net.TCPAddr{IP: net.IPv4zero}, probe)
	mismatch, ok := errors.AsType[*knownhosts.KeyError](err)
	if !ok {
		return nil, false, fmt.Errorf("look up %s in known_hosts: %w", address, err)
	}
	for _, known := range mismatch.Want {
		lines := k.authority[known.Filename]
		if known.Line <= len(lines) && strings.HasPrefix(strings.TrimSpace(lines[known.Line-1]), "@cert-authority") {
			authority = true
			continue
		}
		keys = append(keys, known.Key)
	}
	return keys, authority, nil
}

// probeKey is a key that nobody has: asking for it tells what is known instead.
func probeKey() (ssh.PublicKey, error) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(public)
}

func (k *knownHosts) place(key knownhosts.KnownKey) string {
	return fmt.Sprintf("%s:%d", k.original[key.Filename], key.Line)
}
