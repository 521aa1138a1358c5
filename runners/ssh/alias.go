package ssh

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/kevinburke/ssh_config"
)

// resolve decides all about a host that a plan names: the plan's runner block,
// then ~/.ssh/config, then defaults.
func (r *Runner) resolve(name string) (Endpoint, error) {
	end, err := r.lookUp(name, r.config.User, r.config.Port)
	if err != nil {
		return Endpoint{}, err
	}
	if r.config.ProxyJump != nil {
		if end.Via, err = r.via(r.config.ProxyJump, 0); err != nil {
			return Endpoint{}, err
		}
	}
	return r.complete(end), nil
}

// complete fills in what an Endpoint leaves open, for its own hosts on the way too.
func (r *Runner) complete(end Endpoint) Endpoint {
	if end.Port == 0 {
		end.Port = r.config.Port
	}
	if end.Port == 0 {
		end.Port = defaultPort
	}
	end.User = orElse(end.User, orElse(r.config.User, r.operator()))
	if r.config.IdentityFile != "" && len(end.Signers) == 0 {
		end.identities = []string{r.expand(r.config.IdentityFile)}
		end.alsoDefault, end.onlyThese = false, true
	}
	if len(end.HostKeys) == 0 {
		end.HostKeys, _ = parseHostKeys(r.config.HostKey) // New has checked it
	}
	end.Facts.Address = orElse(end.Facts.Address, end.Address)
	end.Via = slices.Clone(end.Via)
	for i, via := range end.Via {
		if via.Port == 0 {
			via.Port = defaultPort
		}
		via.User = orElse(via.User, r.operator())
		if r.config.IdentityFile != "" && len(via.Signers) == 0 {
			via.identities = append(via.identities, r.expand(r.config.IdentityFile))
		}
		end.Via[i] = via
	}
	return end
}

func (r *Runner) operator() string {
	if name := orElse(r.getenv("USER"), r.getenv("LOGNAME")); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "root"
}

// maxHops bounds proxy_jump chains: aliases may name each other in a circle.
const maxHops = 8

// Via resolves a proxy_jump for an Endpoint, as Connect does for its own hosts.
func (r *Runner) Via(proxyJump []string) ([]Endpoint, error) { return r.via(proxyJump, 0) }

// via resolves hosts on the way: [user@]host[:port] or aliases.
func (r *Runner) via(hops []string, depth int) ([]Endpoint, error) {
	if depth > maxHops {
		return nil, fmt.Errorf("proxy_jump goes through more than %d hosts: is it a circle?", maxHops)
	}
	var ends []Endpoint
	for i, hop := range hops {
		login, rest, ok := strings.Cut(hop, "@")
		if !ok {
			login, rest = "", hop
		}
		name, port := rest, 0
		if host, p, err := net.SplitHostPort(rest); err == nil {
			n, err := strconv.Atoi(p)
			if err != nil || n < 1 || n > 65535 {
				return nil, fmt.Errorf("proxy_jump %q: %q is not a port", hop, p)
			}
			name, port = host, n
		}
		if name == "" {
			return nil, fmt.Errorf("proxy_jump %q names no host: write [user@]host[:port]", hop)
		}
		end, err := r.lookUpHop(name, login, port, depth)
		if err != nil {
			return nil, err
		}
		if i == 0 { // the nearest may have hosts on the way of its own
			ends = append(ends, end.Via...)
		}
		end.Via = nil
		ends = append(ends, end)
	}
	return ends, nil
}

func (r *Runner) lookUp(name, login string, port int) (Endpoint, error) {
	return r.lookUpHop(name, login, port, 0)
}

// lookUpHop finds name in ~/.ssh/config. login and port take precedence where given.
func (r *Runner) lookUpHop(name, login string, port, depth int) (Endpoint, error) {
	if strings.ContainsFunc(name, inNoName) || strings.HasPrefix(name, "-") {
		return Endpoint{}, fmt.Errorf("%q is not a host: write an address or an alias of ~/.ssh/config", name)
	}
	config, err := r.userConfig()
	if err != nil {
		return Endpoint{}, err
	}
	get := func(key string) string {
		value, _ := config.Get(name, key) // an Include is expanded before, so there is nothing to go wrong
		return strings.Trim(value, `"`)
	}
	end := Endpoint{Name: name, User: login, Port: port}
	if end.Address, err = address(orElse(strings.ReplaceAll(get("HostName"), "%h", name), name)); err != nil {
		return Endpoint{}, err
	}
	end.User = orElse(end.User, get("User"))
	if p := get("Port"); end.Port == 0 && p != "" {
		if end.Port, err = strconv.Atoi(p); err != nil || end.Port < 1 || end.Port > 65535 {
			return Endpoint{}, fmt.Errorf("~/.ssh/config: the port of %s is %q", name, p)
		}
	}
	end.KnownAs = get("HostKeyAlias")
	end.onlyThese = strings.EqualFold(get("IdentitiesOnly"), "yes")
	files, _ := config.GetAll(name, "IdentityFile")
	for _, f := range files {
		f = r.expand(r.percent(strings.Trim(f, `"`), end, name))
		if _, err := os.Stat(f); err == nil || !errors.Is(err, fs.ErrNotExist) {
			end.identities = append(end.identities, f)
		}
	}
	end.alsoDefault = len(files) == 0
	for _, f := range strings.Fields(get("UserKnownHostsFile")) {
		end.knownHosts = append(end.knownHosts, r.expand(r.percent(f, end, name)))
	}
	if jump := get("ProxyJump"); jump != "" && !strings.EqualFold(jump, "none") {
		if end.Via, err = r.via(strings.Split(jump, ","), depth+1); err != nil {
			return Endpoint{}, err
		}
	} else if command := get("ProxyCommand"); command != "" && !strings.EqualFold(command, "none") && len(r.config.ProxyJump) == 0 {
		return Endpoint{}, fmt.Errorf("~/.ssh/config reaches %s by a ProxyCommand, which launch does not run: use ProxyJump, or proxy_jump in the plan", name)
	}
	return end, nil
}

// inNoName says whether a character is in the name of no host: no wait for it would find one.
func inNoName(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(" '\"", r) }

// address is a host's name or IP address, an IPv6 one without the brackets that may be around it.
func address(s string) (string, error) {
	inner := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		inner = s[1 : len(s)-1]
	}
	if _, err := netip.ParseAddr(inner); err != nil && (inner != s || strings.ContainsAny(s, ":[]")) {
		return "", fmt.Errorf("%q is not a host: write a name or an IP address alone, and its port with port", s)
	}
	return inner, nil
}

// percent replaces those tokens of ssh_config that make sense in a file's name.
func (r *Runner) percent(s string, end Endpoint, name string) string {
	return strings.NewReplacer("%%", "%", "%d", r.home(), "%h", end.Address, "%n", name, "%r", end.User, "%u", r.operator()).Replace(s)
}

// userConfig reads ~/.ssh/config once.
func (r *Runner) userConfig() (*ssh_config.Config, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sshConfig != nil {
		return r.sshConfig, nil
	}
	var text bytes.Buffer
	name := filepath.Join(r.home(), ".ssh", "config")
	if err := r.include(&text, name, "*", 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	config, err := ssh_config.DecodeBytes(text.Bytes())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	r.sshConfig = config
	return config, nil
}

// maxIncludes is OpenSSH's own bound on how deep configurations include each other.
const maxIncludes = 16

// include writes the file with its Includes put in place, and without its Match
// blocks: those depend on commands and networks, and the parser knows none of
// them. host is the Host line that holds around it.
func (r *Runner) include(to *bytes.Buffer, name, host string, depth int) error {
	if depth > maxIncludes {
		return fmt.Errorf("%s: more than %d files include each other", name, maxIncludes)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	inMatch := false
	for l := range strings.Lines(string(data)) {
		key, rest := directive(l)
		switch key {
		case "host":
			host, inMatch = rest, false
		case "match":
			if inMatch = !strings.EqualFold(rest, "all"); !inMatch {
				host, l = "*", "Host *\n"
			} else {
				r.env.Note("", fmt.Sprintf("%s: a Match block is passed over", name))
			}
		case "include":
			if inMatch {
				continue
			}
			files, err := r.included(name, rest)
			if err != nil {
				return err
			}
			for _, f := range files {
				if err := r.include(to, f, host, depth+1); err != nil {
					return err
				}
			}
			l = "Host " + host + "\n"
		}
		if !inMatch {
			to.WriteString(strings.TrimRight(l, "\n") + "\n")
		}
	}
	return nil
}

// included are the files that the patterns of an Include line name, which stands in the file of this name.
func (r *Runner) included(name, patterns string) ([]string, error) {
	var all []string
	for _, pattern := range strings.Fields(patterns) {
		pattern = r.expand(strings.Trim(pattern, `"`))
		if !filepath.IsAbs(pattern) {
			pattern = filepath.Join(r.home(), ".ssh", pattern)
		}
		files, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("%s: Include %s: %w", name, pattern, err)
		}
		all = append(all, files...)
	}
	return all, nil
}

// directive takes a line of ssh_config apart: "Key value" or "Key=value".
func directive(l string) (key, rest string) {
	l = strings.TrimSpace(l)
	i := strings.IndexAny(l, " \t=")
	if i < 0 || l[0] == '#' {
		return "", ""
	}
	return strings.ToLower(l[:i]), strings.TrimSpace(strings.TrimLeft(l[i:], " \t="))
}
