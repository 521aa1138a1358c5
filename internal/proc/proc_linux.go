package proc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// BootID names this boot of the machine.
var BootID = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(id))
})

// Find returns the process that has pid now.
func Find(pid int) (Process, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Process{}, err
	}
	return parseStat(pid, stat)
}

// parseStat reads what proc(5) calls /proc/PID/stat. The program's name, in
// parentheses, may hold anything: what follows its last parenthesis counts.
func parseStat(pid int, stat []byte) (Process, error) {
	end := bytes.LastIndexByte(stat, ')')
	fields := strings.Fields(string(stat[end+1:]))
	const state, parent, group, session, start = 0, 1, 2, 3, 19 // counted from the state, field 3
	if end < 0 || len(fields) <= start {
		return Process{}, fmt.Errorf("process %d: unexpected content of its stat file", pid)
	}
	p := Process{PID: pid, Zombie: fields[state] == "Z" || fields[state] == "X", Frozen: fields[state] == "T"}
	for _, f := range []struct {
		index int
		to    *int
	}{{parent, &p.Parent}, {group, &p.Group}, {session, &p.Session}} {
		n, err := strconv.Atoi(fields[f.index])
		if err != nil {
			return Process{}, fmt.Errorf("process %d: its stat file: %w", pid, err)
		}
		*f.to = n
	}
	var err error
	if p.Start, err = strconv.ParseUint(fields[start], 10, 64); err != nil {
		return Process{}, fmt.Errorf("process %d: its stat file: %w", pid, err)
	}
	return p, nil
}

// All returns every process that can be seen, and an error where some could not be looked at.
func All() ([]Process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	var all []Process
	for _, name := range names {
		pid, notNumber := strconv.Atoi(name)
		if notNumber != nil {
			continue
		}
		p, perr := Find(pid)
		switch {
		case perr == nil:
			all = append(all, p)
		case !Gone(perr): // else it ended meanwhile
			err = perr
		}
	}
	return all, err
}

// CanFindVariables says that HasVariables can know.
const CanFindVariables = true

// HasVariables tells whether the process was started with every one of the variables
// (NAME=value) in its environment, and whether that can be known: not for another
// user's process.
func HasVariables(pid int, variables ...string) (has, known bool) {
	environ := environOf(pid)
	if environ == nil {
		return false, false
	}
	for _, v := range variables {
		if !bytes.Contains(environ, []byte("\x00"+v+"\x00")) {
			return false, true
		}
	}
	return true, true
}

// Variable is the value that a variable had when the process was started. Not known: it
// had none, or that cannot be told.
func Variable(pid int, name string) (value string, known bool) {
	_, rest, found := bytes.Cut(environOf(pid), []byte("\x00"+name+"="))
	if !found {
		return "", false
	}
	text, _, _ := bytes.Cut(rest, []byte{0})
	return string(text), true
}

// environOf is the environment with which a process was started, a NUL before and after
// every variable; nil where it cannot be known.
func environOf(pid int) []byte {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil || len(environ) == 0 { // empty while it is between two programs
		return nil
	}
	return append([]byte{0}, environ...)
}

// Wait returns when the process, which need not be a child, has ended.
func (id Identity) Wait(ctx context.Context) error {
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if err != nil { // ended, or a kernel before 5.10
		return pollUntilGone(ctx, id)
	}
	if isScarce(fd) {
		unix.Close(fd)
		return pollUntilGone(ctx, id)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	if !id.Alive() { // the pid was another's when it was opened
		return nil
	}
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	// A pidfd becomes readable when its process ends: the runtime's poller waits.
	conn, err := f.SyscallConn()
	if err == nil {
		err = conn.Read(func(fd uintptr) bool {
			n, _ := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
			return n > 0
		})
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return pollUntilGone(ctx, id)
	}
	return nil
}

// isScarce tells whether so many files are open that those who wait for processes must leave the rest for others.
func isScarce(fd int) bool {
	var limit unix.Rlimit
	return unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil && uint64(fd) >= limit.Cur/2
}

// ticksPerSecond is the unit of start times. The kernel shows them to programs
// in hundredths on every architecture that Go runs on.
const ticksPerSecond = 100

// Age is how long ago the process began, whatever the clock on the wall did since.
func (id Identity) Age() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil || id.Start == 0 {
		return 0
	}
	return max(0, time.Duration(now.Nano())-time.Duration(id.Start)*(time.Second/ticksPerSecond))
}
