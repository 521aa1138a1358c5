package ssh

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/launchplan/launch/runners"
)

// A host is a machine as one service has it.
type host struct{ m *machine }

// Facts tells the address that the plan or the Endpoint gave.
func (h *host) Facts() runners.Facts { return h.m.end.Facts }

// Close lets go of the host. The connection stays for others until the runner is closed.
func (h *host) Close() error { return nil }

// WorkDir is in the run's folder of that user.
func (h *host) WorkDir(service, user string) string {
	return h.m.workDir(service, h.m.other(user))
}

// workDir is the run's folder where no service is given.
func (m *machine) workDir(service, user string) string {
	return path.Join(m.root(user), runners.DirName(service))
}

// records is the folder of what is known of a service's programs, or of all services'.
func (m *machine) records(service, user string) string {
	return path.Join(m.root(user), ".programs", runners.DirName(service))
}

// prefix is what the names of all files about a program begin with.
func (m *machine) prefix(id runners.ID, user string) string {
	return path.Join(m.records(id.Service, user), id.Name)
}

// userOf returns whose programs' folder has the program: asked once, then remembered.
func (m *machine) userOf(id runners.ID) (user string, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	user, known = m.users[id.String()]
	return user, known
}

func (m *machine) setUser(id runners.ID, user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users[id.String()] = user
}

// about carries out a request about a program wherever that is: words are given
// the program's prefix for the user whose it is.
func (m *machine) about(ctx context.Context, id runners.ID, make func(prefix string) request) (answer, string, error) {
	user, _ := m.userOf(id)
	for {
		ans, err := m.do(ctx, user, func() request { return make(m.prefix(id, user)) })
		if err != nil || !ans.is("as") || user != "" {
			return ans, user, err
		}
		user = strings.TrimSpace(string(ans.data))
		if !userName.fits(user) {
			return answer{}, "", fmt.Errorf("%s on %s: %s=as does not hold a user's name", id, m.end, m.prefix(id, ""))
		}
		m.setUser(id, user)
	}
}

// Output reads what the program wrote so far.
func (h *host) Output(ctx context.Context, id runners.ID, offset int64, max int) ([]byte, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	max = min(max, runners.MaxOutput)
	if max <= 0 {
		return nil, nil
	}
	ans, _, err := h.m.about(ctx, id, func(prefix string) request {
		req := ask("output", prefix, fmt.Sprint(offset), fmt.Sprint(max))
		req.bound = max
		return req
	})
	if err != nil {
		return nil, fmt.Errorf("read the output of %s: %w", id, err)
	}
	if ans.is("none") {
		return nil, fmt.Errorf("read the output of %s on %s: %w", id, h.m.end, fs.ErrNotExist)
	}
	return ans.data, nil
}

// ReadFile reads a file of the work directory.
func (h *host) ReadFile(ctx context.Context, service, user, name string, max int) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("%q is not a path below the work directory", name)
	}
	user = h.m.other(user)
	file := path.Join(h.m.workDir(service, user), name)
	ans, err := h.m.do(ctx, user, func() request {
		req := ask("file", file, fmt.Sprint(max+1))
		req.bound = max + 1
		return req
	})
	at := fmt.Sprintf("read %s on %s", file, h.m.end)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", at, err)
	case ans.is("none"):
		return nil, fmt.Errorf("%s: %w", at, fs.ErrNotExist)
	case ans.is("irregular"):
		return nil, fmt.Errorf("%s: it is not a regular file", at)
	case ans.is("unreadable"):
		return nil, fmt.Errorf("%s: %w", at, fs.ErrPermission)
	case len(ans.data) > max:
		return nil, fmt.Errorf("%s: it is longer than %d bytes", at, max)
	}
	return ans.data, nil
}

// Look asks the host how the program stands.
func (h *host) Look(ctx context.Context, id runners.ID) (runners.State, error) {
	if err := checkID(id); err != nil {
		return runners.State{}, err
	}
	ans, user, err := h.m.about(ctx, id, func(prefix string) request { return ask("look", prefix) })
	if err != nil {
		return runners.State{}, err
	}
	s, err := h.m.judge(id, user, ans)
	return s.State, err
}

// Remove ends the service's programs and removes its folders, of every user that it has programs as. Without a service
// that is all of the run.
func (h *host) Remove(ctx context.Context, service string) error {
	m := h.m
	ans, err := m.do(ctx, "", func() request { return ask("users", m.records(service, "")) })
	if err != nil {
		return fmt.Errorf("remove %s from %s: %w", orElse(service, "the run"), m.end, err)
	}
	for _, user := range append(names(ans), "") {
		err = errors.Join(err, m.erase(ctx, user, m.records(service, user), m.workDir(service, user)))
	}
	if service == "" {
		m.mu.Lock()
		defer m.mu.Unlock()
		clear(m.payloads)
	}
	return err
}

// names are the users of an answer, each once.
func names(ans answer) []string {
	var users []string
	seen := make(map[string]bool)
	for name := range strings.Lines(string(ans.data)) {
		name = strings.TrimSpace(name)
		if userName.fits(name) && !seen[name] {
			seen[name] = true
			users = append(users, name)
		}
	}
	return users
}

func (m *machine) erase(ctx context.Context, user, programs, dir string) error {
	ans, err := m.do(ctx, user, func() request { return ask("erase", programs, dir) })
	if err != nil {
		return fmt.Errorf("remove %s from %s: %w", dir, m.end, err)
	}
	if !ans.is("ok") {
		return fmt.Errorf("remove %s from %s: %s", dir, m.end, printable(string(ans.data)))
	}
	return nil
}
