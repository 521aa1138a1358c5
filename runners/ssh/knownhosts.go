package ssh

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

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
			continue
		}
		lines[i] = lowerHosts(l)
	}
	return lines, nil
}

// lowerHosts is a line with its host patterns as names are looked up: in lower case, but for hashes.
func lowerHosts(l string) string {
	fields := strings.Fields(l)
	hosts := fields[0]
	if hosts[0] == '@' {
		hosts = fields[1]
	}
	if hosts[0] == '|' {
		return l
	}
	return strings.Replace(l, hosts, strings.ToLower(hosts), 1)
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

// A lookup is what known_hosts says of a host.
type lookup struct {
	name      string // by which it is known: an address with a port
	otherPort bool   // the standard one's entry, since there is none for the host's own
	keys      []ssh.PublicKey
	authority bool // one may vouch for it
}

// find returns what is known under the first of names, or of the second where that is nothing.
func (k *knownHosts) find(names []string) (lookup, error) {
	var of lookup
	for i, name := range names {
		keys, authority, err := k.wanted(name)
		if err != nil {
			return lookup{}, err
		}
		of = lookup{name: name, otherPort: i > 0, keys: keys, authority: authority}
		if len(keys) > 0 || authority {
			break
		}
	}
	return of, nil
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
		if k.isAuthority(known) {
			authority = true
			continue
		}
		keys = append(keys, known.Key)
	}
	return keys, authority, nil
}

// verify checks the key that a host shows. A KeyError has the keys that speak
// against it: authorities do not, nor does what is known of another port.
func (k *knownHosts) verify(of lookup, remote net.Addr, key ssh.PublicKey) error {
	err := k.check(of.name, remote, key)
	if mismatch, ok := errors.AsType[*knownhosts.KeyError](err); ok {
		mismatch.Want = slices.DeleteFunc(mismatch.Want, func(known knownhosts.KnownKey) bool {
			return of.otherPort || k.isAuthority(known)
		})
	}
	return err
}

func (k *knownHosts) isAuthority(known knownhosts.KnownKey) bool {
	lines := k.authority[known.Filename]
	return known.Line <= len(lines) && strings.HasPrefix(strings.TrimSpace(lines[known.Line-1]), "@cert-authority")
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
