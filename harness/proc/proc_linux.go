package proc

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// bootID tells this boot of the machine from others: start times count from it.
var bootID = sync.OnceValue(func() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "-"
	}
	return strings.TrimSpace(string(data))[:8]
})

func startOf(pid int) (string, bool) {
	fields, ok := stat(pid)
	if !ok || fields[0] == "Z" || fields[0] == "X" {
		return "", false
	}
	return bootID() + "-" + fields[19], true
}

// stat returns the fields of /proc/PID/stat that follow the program's name, which
// may itself hold spaces and parentheses.
func stat(pid int) ([]string, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil, false
	}
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return nil, false
	}
	fields := strings.Fields(string(data[end+1:]))
	return fields, len(fields) > 19
}

// WithEnv returns the processes whose environment, as it was at their start, has
// every one of the entries (NAME=VALUE).
func WithEnv(entries ...string) []ID {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // what could be read is better than nothing
	var found []ID
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		id, alive := Of(pid)
		if alive && hasEnv(pid, entries) {
			found = append(found, id)
		}
	}
	return found
}

// Env returns one variable of a process's environment at its start.
func Env(pid int, name string) (string, bool) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return "", false
	}
	for entry := range strings.SplitSeq(string(data), "\x00") {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value, true
		}
	}
	return "", false
}

func hasEnv(pid int, entries []string) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	data = append(append([]byte{0}, data...), 0)
	for _, e := range entries {
		if !bytes.Contains(data, []byte("\x00"+e+"\x00")) {
			return false
		}
	}
	return true
}

// InSessions returns the living processes of some sessions.
func InSessions(sids map[int]bool) []ID {
	if len(sids) == 0 {
		return nil
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	var found []ID
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		fields, ok := stat(pid)
		if !ok {
			continue
		}
		if sid, err := strconv.Atoi(fields[3]); err != nil || !sids[sid] {
			continue
		}
		if id, alive := Of(pid); alive {
			found = append(found, id)
		}
	}
	return found
}

// Wait returns when the process, which need not be a child, has ended.
func (id ID) Wait(ctx context.Context) error {
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return pollUntilGone(ctx, id)
	}
	if !id.Alive() { // the pid was another's when it was opened
		unix.Close(fd)
		return nil
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	// A pidfd becomes readable when its process ends: the runtime's poller waits.
	err = conn.Read(func(uintptr) bool { return !id.Alive() })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return pollUntilGone(ctx, id)
	}
	return nil
}
