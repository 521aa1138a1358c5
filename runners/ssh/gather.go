package ssh

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/launchplan/launch/runners"
)

// maxHead is how much of a program's output is passed on from its beginning, and
// then from its end, with a line for what is left out between.
const maxHead = runners.MaxOutput / 2

// A feed passes output on and counts it, so that it goes on where a cut connection left it.
type feed struct {
	to     io.Writer // nil: nobody wants it
	offset int64
}

func (f *feed) Write(p []byte) (int, error) {
	f.offset += int64(len(p))
	if f.to != nil {
		f.to.Write(p) // whoever wants it sees to its errors; the program's end counts here
	}
	return len(p), nil
}

// room is how much more may come before the middle is left out.
func (f *feed) room() int64 {
	if f.to == nil {
		return 0
	}
	return max(0, maxHead-f.offset)
}

// gather completes the Result of a program that has ended: the rest of its
// output, and the file that it was to leave.
func (f *following) gather(ctx context.Context, s standing) (runners.Result, error) {
	res := s.Result
	if s.wrote && f.out.to != nil || s.left && f.collect != "" {
		if err := f.fetch(ctx, &res); err != nil {
			return f.unknown(ctx, err)
		}
	}
	if f.check {
		f.m.spend(f.id)
	}
	return res, nil
}

func (f *following) fetch(ctx context.Context, res *runners.Result) error {
	user, _ := f.m.userOf(f.id)
	prefix := f.m.prefix(f.id, user)
	ans, err := f.m.do(ctx, user, func() request {
		req := ask("fetch", prefix, fmt.Sprint(f.out.offset), fmt.Sprint(f.out.room()), f.collect, fmt.Sprint(runners.MaxCollect+1))
		req.stream, req.bound = &f.out, runners.MaxCollect+1
		return req
	})
	if err != nil {
		return err
	}
	switch {
	case f.collect == "" || ans.is("none"):
	case ans.is("irregular"):
		res.CollectErr = fmt.Sprintf("%s is not a regular file", f.collect)
	case ans.is("unreadable"):
		res.CollectErr = fmt.Sprintf("%s may not be read", f.collect)
	case len(ans.data) > runners.MaxCollect:
		res.CollectErr = fmt.Sprintf("%s is longer than %d bytes", f.collect, runners.MaxCollect)
	default:
		res.Collected = append([]byte{}, ans.data...)
	}
	if f.out.to != nil && f.out.room() == 0 {
		return f.rest(ctx, user, prefix)
	}
	return nil
}

// rest passes on the end of a long output.
func (f *following) rest(ctx context.Context, user, prefix string) error {
	ans, err := f.m.do(ctx, user, func() request { return ask("size", prefix) })
	if err != nil {
		return err
	}
	if len(ans.words) != 2 {
		return errWire
	}
	size, err := strconv.ParseInt(ans.words[1], 10, 64)
	if err != nil {
		return errWire
	}
	if from := size - maxHead; from > f.out.offset {
		fmt.Fprintf(f.out.to, "\n[launch: %d bytes left out]\n", from-f.out.offset)
		f.out.offset = from
	}
	end := f.out.offset + maxHead
	_, err = f.m.do(ctx, user, func() request {
		req := ask("fetch", prefix, fmt.Sprint(f.out.offset), fmt.Sprint(end-f.out.offset), "", "0")
		req.stream = &f.out
		return req
	})
	return err
}

// spentBatch is how many checks are forgotten on the host at a time: each file
// removed on its own would cost a process there.
const spentBatch = 16

// spend notes that nothing need be kept of a check any more.
func (m *machine) spend(id runners.ID) {
	user, _ := m.userOf(id)
	prefix := m.prefix(id, user)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.users, id.String())
	m.spent[user] = append(m.spent[user], prefix)
}

// Discard has the program's output removed with the next request to the host: it is not worth a session of its own.
func (h *host) Discard(_ context.Context, id runners.ID) error {
	user, _ := h.m.userOf(id)
	prefix := h.m.prefix(id, user)
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.m.hushed[user] = append(h.m.hushed[user], prefix)
	return nil
}

// takeSpent returns a line that forgets output, and checks, once there are enough of those.
func (m *machine) takeSpent(user string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []string
	if hushed := m.hushed[user]; len(hushed) > 0 {
		m.hushed[user] = nil
		lines = append(lines, line(append([]string{"hush"}, hushed...)...))
	}
	if spent := m.spent[user]; len(spent) >= spentBatch {
		m.spent[user] = nil
		lines = append(lines, line(append([]string{"spent"}, spent...)...))
	}
	return strings.Join(lines, "; ")
}
