package ec2

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	cryptossh "golang.org/x/crypto/ssh"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/ssh"
)

const (
	// connectTimeout bounds the time from running to a login: an image's first
	// boot makes file systems and users.
	connectTimeout = 5 * time.Minute
	// checkWhileConnecting is how often launch looks whether the instance that
	// does not answer is still there.
	checkWhileConnecting = 10 * time.Second
)

// reach connects to instances by SSH.
type reach struct {
	config ssh.Config
	runner *ssh.Runner
	via    []ssh.Endpoint // the hosts of proxy_jump
	dir    string
	ownKey bool // launch made the key pair
}

func newReach(ctx context.Context, config Config, env runners.Env) (*reach, error) {
	c := &reach{dir: env.Dir, ownKey: config.KeyName == ""}
	if config.SSH != nil {
		c.config = *config.SSH
	}
	if c.config.User == "" {
		c.config.User = defaultUser
	}
	var err error
	if c.runner, err = ssh.New(ctx, c.config, env); err != nil {
		return nil, fmt.Errorf("ssh: %w", err)
	}
	if c.via, err = c.runner.Via(c.config.ProxyJump); err != nil {
		return nil, errors.Join(fmt.Errorf("ssh: %w", err), c.runner.Close())
	}
	return c, nil
}

func (c *reach) close() error { return c.runner.Close() }

// connect logs in to an instance. While it does not answer, launch looks
// whether it is still there, and stops waiting where it is not.
func (c *reach) connect(ctx context.Context, r *Runner, h held) (runners.Host, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("it did not let launch in within %v; its security groups have to let SSH in from here", connectTimeout))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := r.watch(ctx, h); err != nil {
			stop(err)
		}
	}()
	host, err := c.login(ctx, r, h)
	stop(nil)
	<-watched
	return host, err
}

func (c *reach) login(ctx context.Context, r *Runner, h held) (runners.Host, error) {
	end := ssh.Endpoint{
		Name: h.ID + " (" + r.address(h) + ")", Address: r.address(h), Port: c.config.Port, User: c.config.User,
		Booting: !h.Existing, Facts: r.facts(h), Via: c.via,
	}
	if c.ownKey {
		switch key, err := readKey(filepath.Join(c.dir, clientKeyFile)); {
		case err == nil:
			end.Signers = []cryptossh.Signer{key.signer}
		case !errors.Is(err, fs.ErrNotExist) || !h.Existing:
			return nil, err
		}
	}
	var err error
	if end.HostKeys, err = c.hostKeys(ctx, r, h); err != nil {
		return nil, err
	}
	host, err := c.runner.ConnectTo(ctx, end, h.Service)
	_, unreachable := errors.AsType[*runners.UnreachableError](err) // which names the host
	switch cause := context.Cause(ctx); {
	case err == nil || cause == nil || unreachable && errors.Is(err, cause):
		return host, err
	case !errors.Is(err, cause):
		err = errors.Join(cause, err)
	}
	return nil, fmt.Errorf("connect to %s: %w", end.Name, err)
}

// hostKeys are the keys that the instance may have. None leaves it to
// known_hosts, which is for instances that launch did not make.
func (c *reach) hostKeys(ctx context.Context, r *Runner, h held) ([]cryptossh.PublicKey, error) {
	switch {
	case c.config.HostKey != "":
		return nil, nil // the SSH runner holds it to that
	case h.HostKey != "":
		key, _, _, _, err := cryptossh.ParseAuthorizedKey([]byte(h.HostKey))
		if err != nil {
			return nil, fmt.Errorf("read the host key recorded for %s: %w", h.ID, err)
		}
		return []cryptossh.PublicKey{key}, nil
	case h.Existing:
		return nil, nil
	}
	keys, err := r.consoleKeys(ctx, h.ID)
	if err != nil {
		return nil, err
	}
	h.HostKey = strings.TrimSpace(string(cryptossh.MarshalAuthorizedKey(keys[0])))
	return keys, r.put(ctx, nil, h) // pinned for the run
}

// consoleKeys waits until the instance has printed its host keys on its
// console. The latest output can be had of some types of instances only; of the
// others EC2 shows it a while later.
func (r *Runner) consoleKeys(ctx context.Context, id string) ([]cryptossh.PublicKey, error) {
	begin, latest, patience := time.Now(), aws.Bool(true), r.patience("", "EC2")
	for {
		out, err := call(ctx, r.cloud, r.cloud.ec2.GetConsoleOutput, &ec2.GetConsoleOutputInput{InstanceId: aws.String(id), Latest: latest})
		switch {
		case kindOf(err) == notFound: // not known everywhere yet
		case refused(err) && latest != nil:
			latest = nil
			continue
		case err != nil && !patience.bears(ctx, err):
			return nil, explain(err, "read the console output of %s", id)
		case err == nil:
			text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(aws.ToString(out.Output)))
			if err != nil {
				text = []byte(aws.ToString(out.Output)) // some compatible clouds send it as it is
			}
			if keys := keysOnConsole(string(text)); len(keys) > 0 {
				return keys, nil
			}
		}
		if !pauseFor(ctx, pauseAfter(time.Since(begin))) {
			return nil, fmt.Errorf("the console output of %s shows no SSH host keys, which cloud-init prints there: leave out host_key in the runner block to have launch make one, or name it in ssh { host_key } (%w)", id, context.Cause(ctx))
		}
	}
}

// keysOnConsole finds the host keys that cloud-init prints at the end of a boot:
// those of the last whole block.
func keysOnConsole(text string) []cryptossh.PublicKey {
	const begin, end = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"
	stop := strings.LastIndex(text, end)
	if stop < 0 {
		return nil
	}
	start := strings.LastIndex(text[:stop], begin)
	if start < 0 {
		return nil
	}
	var keys []cryptossh.PublicKey
	for line := range strings.Lines(text[start+len(begin) : stop]) {
		// The console may put a time or a name before the line.
		for _, kind := range []string{cryptossh.KeyAlgoED25519, "ecdsa-sha2-", cryptossh.KeyAlgoRSA} {
			at := strings.Index(line, kind)
			if at < 0 {
				continue
			}
			if key, _, _, _, err := cryptossh.ParseAuthorizedKey([]byte(line[at:])); err == nil {
				keys = append(keys, key)
			}
			break
		}
	}
	return keys
}

// watch returns an error when the instance is no longer running, and nil when ctx ends.
func (r *Runner) watch(ctx context.Context, h held) error {
	for {
		s, err := r.fleet.look(ctx, h.ID, false, checkWhileConnecting)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil || s.instance == nil {
			select {
			case <-time.After(checkWhileConnecting): // the API is away, or forgetful; the instance may be well
				continue
			case <-ctx.Done():
				return nil
			}
		}
		if st := stateOf(s.instance); st != types.InstanceStateNameRunning && st != types.InstanceStateNamePending {
			return endError(h.ID, s.instance)
		}
	}
}
