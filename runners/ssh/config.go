package ssh

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Config is what a plan's `runner "ssh"` block says. A field that is left out
// is taken from the host's entry in ~/.ssh/config, then from the defaults below.
type Config struct {
	User         string   `json:"user,omitempty"`
	Port         int      `json:"port,omitempty"`
	IdentityFile string   `json:"identity_file,omitempty"` // "~/" is the operator's home
	Agent        *bool    `json:"agent,omitempty"`         // false: keys of the agent are not offered
	ProxyJump    []string `json:"proxy_jump,omitempty"`    // [user@]host[:port] or aliases, the nearest first

	HostKey        string `json:"host_key,omitempty"`         // "ssh-ed25519 AAAA…", several one per line
	HostKeyPolicy  string `json:"host_key_policy,omitempty"`  // "strict" or "accept-new"
	KnownHostsFile string `json:"known_hosts_file,omitempty"` // instead of ~/.ssh/known_hosts

	ConnectTimeout Duration `json:"connect_timeout,omitempty"` // for one attempt: TCP, key exchange and login
	Patience       Duration `json:"patience,omitempty"`        // how long a host may be away
	Keepalive      Duration `json:"keepalive,omitempty"`       // between questions whether the host is there, and for each answer
	MaxSessions    int      `json:"max_sessions,omitempty"`    // at once on one connection

	WorkRoot      string `json:"work_root,omitempty"`      // absolute folder for the work directories
	RebootCommand string `json:"reboot_command,omitempty"` // a line for sh
}

// What holds where neither the plan nor ~/.ssh/config says anything.
const (
	defaultPort           = 22
	defaultConnectTimeout = Duration(15 * time.Second) // a loaded sshd needs seconds for its key exchange
	defaultPatience       = Duration(5 * time.Minute)  // a boot, a laptop's walk to another room
	defaultKeepalive      = Duration(15 * time.Second) // a frozen host is noticed within twice that
	defaultMaxSessions    = 10                         // sshd's own MaxSessions
)

// Host key policies. There is no "off".
const (
	policyStrict    = "strict"
	policyAcceptNew = "accept-new"
)

// Check says what is wrong with a configuration.
func (c *Config) Check() error {
	_, err := c.withDefaults()
	return err
}

// withDefaults checks c and fills in what it leaves open.
func (c Config) withDefaults() (Config, error) {
	if c.HostKeyPolicy == "" {
		c.HostKeyPolicy = policyStrict
	}
	if c.HostKeyPolicy != policyStrict && c.HostKeyPolicy != policyAcceptNew {
		return c, fmt.Errorf("host_key_policy is %q: it can be %q or %q", c.HostKeyPolicy, policyStrict, policyAcceptNew)
	}
	if c.Port < 0 || c.Port > 65535 {
		return c, fmt.Errorf("port is %d: it must be between 1 and 65535", c.Port)
	}
	if c.WorkRoot != "" && (!strings.HasPrefix(c.WorkRoot, "/") || strings.ContainsAny(c.WorkRoot, "\n\x00")) {
		return c, fmt.Errorf("work_root is %q: it must be an absolute path", c.WorkRoot)
	}
	if strings.ContainsAny(c.RebootCommand, "\n\x00") {
		return c, fmt.Errorf("reboot_command must be one line")
	}
	if _, err := parseHostKeys(c.HostKey); err != nil {
		return c, fmt.Errorf("host_key: %w", err)
	}
	if c.MaxSessions < 0 {
		return c, fmt.Errorf("max_sessions is %d: it must be at least 1", c.MaxSessions)
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = defaultMaxSessions
	}
	for _, d := range []struct {
		name     string
		value    *Duration
		standard Duration
	}{
		{"connect_timeout", &c.ConnectTimeout, defaultConnectTimeout},
		{"patience", &c.Patience, defaultPatience},
		{"keepalive", &c.Keepalive, defaultKeepalive},
	} {
		if *d.value < 0 {
			return c, fmt.Errorf("%s is %s: it must be positive", d.name, time.Duration(*d.value))
		}
		if *d.value == 0 {
			*d.value = d.standard
		}
	}
	return c, nil
}

// parseHostKeys reads public keys in the format of authorized_keys, one per line.
func parseHostKeys(text string) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("%.40q is not a public key such as \"ssh-ed25519 AAAA…\"", line)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// A Duration is written "10s" in a plan and in JSON.
type Duration time.Duration

// UnmarshalText reads "1m30s"; that it reads text is how a plan knows to take a string.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as \"30s\" or \"5m\"", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }
