package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/wire"
)

// An account is another user of this machine.
type account struct {
	wire.Credential
	name, home string
}

func findAccount(name string) (*account, error) {
	u, err := user.Lookup(name)
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		return nil, fmt.Errorf("there is no user %q on this machine", name)
	}
	if err != nil {
		return nil, fmt.Errorf("look up the user %q: %w", name, err)
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("look up the groups of the user %q: %w", name, err)
	}
	a := &account{name: u.Username, home: u.HomeDir}
	for _, n := range []struct {
		text string
		to   *uint32
	}{{u.Uid, &a.UID}, {u.Gid, &a.GID}} {
		number, err := strconv.ParseUint(n.text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("the user %q has the number %q", name, n.text)
		}
		*n.to = uint32(number)
	}
	for _, id := range ids {
		if number, err := strconv.ParseUint(id, 10, 32); err == nil {
			a.Groups = append(a.Groups, uint32(number))
		}
	}
	return a, nil
}

// own makes dir the account's private folder, or makes sure that it is.
func (a *account) own(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return os.Lchown(dir, int(a.UID), int(a.GID))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir() || !ok || stat.Uid != a.UID && stat.Uid != 0:
		return fmt.Errorf("%s is not a folder of the user %s", dir, a.name)
	case stat.Uid == 0 && a.UID != 0: // we were ended between the two steps
		return os.Lchown(dir, int(a.UID), int(a.GID))
	}
	return nil
}

// isUs tells whether programs of the user run as launch does.
func (h *host) isUs(name string) bool {
	if name == "" {
		return true
	}
	u, err := user.Lookup(name)
	return err == nil && u.Uid == strconv.Itoa(os.Geteuid())
}

// sharedTemp is where other users have their work directories: they cannot come
// into the run's own folder. It outlives a reboot, unlike /tmp.
const sharedTemp = "/var/tmp"

// root is the folder for the work directories and payloads of the user.
func (h *host) root(name string) string {
	if h.isUs(name) {
		return h.runner.env.Dir
	}
	return guestRoot(h.runner.env.RunID, runners.DirName(name))
}

// files returns who handles the user's files.
func (h *host) files(name string) placer {
	switch {
	case h.isUs(name):
		return ours{root: h.root("")}
	case h.runner.sudo:
		return throughSudo{user: name, root: h.root(name)}
	}
	a, err := findAccount(name)
	if err != nil {
		return noUser{err}
	}
	return ours{root: h.root(name), as: a}
}

// become has w run as p's user.
func (h *host) become(w *wire.Program, p *runners.Program, t target) error {
	if h.isUs(p.User) {
		return nil
	}
	if h.runner.sudo {
		return becomeThroughSudo(w, p, t)
	}
	a, err := findAccount(p.User)
	if err != nil {
		return err
	}
	w.As, w.User = &a.Credential, a.name
	for name, value := range map[string]string{"HOME": a.home, "USER": a.name, "LOGNAME": a.name} {
		if _, given := p.Env[name]; !given {
			w.Env = append(w.Env, wire.Pack([]string{name + "=" + value})...)
		}
	}
	return nil
}
