package ssh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
	accepted   ssh.PublicKey // a key, or the certificate of one, that is to be pinned
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
	of, err := known.find(end.knownNames())
	if err != nil {
		return nil, err
	}
	acceptNew := r.config.HostKeyPolicy == policyAcceptNew
	mayBeNew := of.otherPort || len(of.keys) == 0
	k := &hostKeys{algorithms: algorithms(of.keys, of.authority, mayBeNew)}
	mustVouch := false
	if acceptNew && mayBeNew {
		pin, authority, err := r.pinOf(end)
		switch {
		case err != nil:
			return nil, err
		case authority: // for one whose certificate was seen, no other key is new
			mustVouch, k.algorithms = true, algorithms(nil, true, false)
		case pin != nil:
			return pinned(end, []ssh.PublicKey{pin}, "the key that this run accepted when it first met the host"), nil
		}
	}
	k.check = func(_ string, remote net.Addr, key ssh.PublicKey) error {
		err := known.verify(of, remote, key)
		mismatch, ok := errors.AsType[*knownhosts.KeyError](err)
		_, vouched := key.(*ssh.Certificate)
		first := ok && len(mismatch.Want) == 0 && !mustVouch
		if acceptNew && (first || err == nil && (of.otherPort || vouched)) {
			k.accepted = key // what is known of another port, or by an authority, is pinned too: nothing less will do later
			return nil
		}
		switch {
		case err != nil && mustVouch && !vouched:
			k.err = fmt.Errorf("the host key of %s has changed: it shows %s, but when this run first met it, it had a certificate of a known authority. %s", end, describe(key), eitherOr)
		case err != nil:
			k.err = r.keyError(end, key, known, err)
		}
		return k.err
	}
	return k, nil
}

// pinned accepts one of keys and nothing else.
func pinned(end Endpoint, keys []ssh.PublicKey, what string) *hostKeys {
	k := &hostKeys{algorithms: algorithms(keys, false, false)}
	k.check = func(_ string, _ net.Addr, key ssh.PublicKey) error {
		for _, want := range keys {
			if bytes.Equal(want.Marshal(), key.Marshal()) {
				return nil
			}
		}
		k.err = fmt.Errorf("the host key of %s has changed: it shows %s, but %s is %s. %s. If the new key is right, give it in the plan (host_key) or start a new run",
			end, describe(key), what, describe(keys[0]), eitherOr)
		if end.Booting {
			k.err = fmt.Errorf("%s shows the host key %s, but %s is %s. Its image may start sshd before that one is in place; if it never shows it, do not trust this machine",
				end, describe(key), what, describe(keys[0]))
		}
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
	return fmt.Errorf("the host key of %s has changed: it shows %s, but %s has %s. %s. If the new key is right, remove the old one with: ssh-keygen -f %q -R %q",
		end, describe(key), known.place(mismatch.Want[0]), describe(mismatch.Want[0].Key), eitherOr, known.original[mismatch.Want[0].Filename], knownhosts.Normalize(end.knownNames()[0]))
}

func describe(key ssh.PublicKey) string { return key.Type() + " " + ssh.FingerprintSHA256(key) }

func authorizedKey(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// knownNames are what known_hosts may know the host by, as the ssh command looks:
// an alias stands for host and port; else where nothing is known of the port, the
// host's key is looked at. Case does not count.
func (e Endpoint) knownNames() []string {
	standard := strconv.Itoa(defaultPort)
	alias, address := strings.ToLower(e.KnownAs), strings.ToLower(e.Address)
	switch {
	case strings.HasPrefix(alias, "["):
		return []string{alias}
	case alias != "":
		return []string{net.JoinHostPort(alias, standard)}
	case e.Port == defaultPort:
		return []string{net.JoinHostPort(address, standard)}
	}
	return []string{net.JoinHostPort(address, strconv.Itoa(e.Port)), net.JoinHostPort(address, standard)}
}

// pinKey is what the run knows the host by.
func (e Endpoint) pinKey() string {
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

// A pin is what a run holds a host to from then on: its key, or that an authority vouches for it.
type pin struct {
	Key       string `json:"key"`
	Authority bool   `json:"authority,omitempty"` // it is the authority's
}

// pin records a newly accepted key, durably, before the connection is used.
func (r *Runner) pin(ctx context.Context, end Endpoint, keys *hostKeys) error {
	if keys.accepted == nil {
		return nil
	}
	key, p := keys.accepted, pin{}
	if cert, ok := key.(*ssh.Certificate); ok {
		key, p.Authority = cert.SignatureKey, true
	}
	p.Key = authorizedKey(key)
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	err = r.env.Ledger.Put(ctx, runners.Resource{
		Kind: pinKind, Key: end.pinKey(), ID: ssh.FingerprintSHA256(key), Status: "live", Data: string(data),
	})
	if err != nil {
		return fmt.Errorf("record the host key of %s: %w", end, err)
	}
	return nil
}

// pinOf returns the key that this run accepted for the host, nil where it met none
// yet, or says that it accepted a certificate.
func (r *Runner) pinOf(end Endpoint) (key ssh.PublicKey, authority bool, err error) {
	for _, res := range r.env.Ledger.List(pinKind) {
		if res.Key != end.pinKey() {
			continue
		}
		var p pin
		if err := json.Unmarshal([]byte(res.Data), &p); err != nil {
			return nil, false, fmt.Errorf("the recorded host key of %s: %w", end, err)
		}
		if p.Authority {
			return nil, true, nil
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(p.Key))
		if err != nil {
			return nil, false, fmt.Errorf("the recorded host key of %s: %w", end, err)
		}
		return key, false, nil
	}
	return nil, false, nil
}

// algorithms are those with which a host can show a certificate, one of keys, or
// any key: the first of them that it has is what it shows.
func algorithms(keys []ssh.PublicKey, certificates, any bool) []string {
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
	if any {
		names = append(names, ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
	}
	var once []string
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}
