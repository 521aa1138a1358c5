package ssh

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/launchplan/launch/runners"
)

// A record is what a host keeps of a program that was begun.
type record struct {
	pid     int
	boot    string        // the host's boot id at the start
	start   time.Duration // since the host's boot
	timeout time.Duration
	stop    runners.Stop
	stamp   time.Time // the start by our clock
}

// parseRecord reads a NAME=began file. ok is false where it is empty: the host
// went down in the instant between claiming and starting the program.
func parseRecord(text string) (r record, ok bool, err error) {
	f := strings.Fields(text)
	if len(f) == 0 {
		return record{}, false, nil
	}
	bad := fmt.Errorf("it holds %.60q, which launch did not write", text)
	if len(f) != 12 || f[0] != "launch1" || f[11] != "." {
		return record{}, false, bad
	}
	var n [7]int64
	for i, at := range []int{1, 2, 3, 4, 6, 7, 9} {
		if n[i], err = strconv.ParseInt(f[at], 10, 64); err != nil || n[i] < 0 || n[i] > 1<<52 {
			return record{}, false, bad
		}
	}
	stamp, err := strconv.ParseInt(f[10], 10, 64)
	if err != nil || n[0] == 0 || n[0] > 1<<31 || !signalName.fits(f[8]) {
		return record{}, false, bad
	}
	return record{
		pid:     int(n[0]),
		boot:    f[5],
		start:   centi(n[4]),
		timeout: centi(n[5]),
		stop:    runners.Stop{Signal: "SIG" + f[8], Grace: centi(n[6])},
		stamp:   time.UnixMilli(stamp),
	}, true, nil
}

// An ending is what a host keeps of a program's end.
type ending struct {
	status  int
	at      time.Duration // since the host's boot
	emptied bool          // nothing of its group was left
}

// parseEnding reads a NAME=ended file. ok is false where it is still blank.
func parseEnding(text string) (e ending, ok bool, err error) {
	f := strings.Fields(text)
	if len(f) == 0 {
		return ending{}, false, nil
	}
	bad := fmt.Errorf("it holds %.60q, which launch did not write", text)
	if len(f) != 5 || f[0] != "exit" || f[3] != "0" && f[3] != "1" || f[4] != "." {
		return ending{}, false, bad
	}
	status, err1 := strconv.Atoi(f[1])
	at, err2 := strconv.ParseInt(f[2], 10, 64)
	if err1 != nil || err2 != nil || status < 0 || status > 255 || at < 0 || at > 1<<52 {
		return ending{}, false, bad
	}
	return ending{status: status, at: centi(at), emptied: f[3] == "0"}, true, nil
}

// result tells how the program of r ended. why is the word in its NAME=stop file.
func (r record) result(e ending, why string) runners.Result {
	res := runners.Result{Started: r.stamp, Ended: r.stamp.Add(max(0, e.at-r.start)), Emptied: e.emptied}
	switch {
	case why == whyStopped:
		res.Outcome = runners.Stopped
	case why == whyTimeout:
		res.Outcome = runners.TimedOut
	case e.status > 128 && signals[e.status-128] != "":
		res.Outcome, res.Signal = runners.Signaled, signals[e.status-128]
	default:
		res.Outcome, res.Status = runners.Exited, e.status
	}
	return res
}

// Words of a NAME=stop file.
const (
	whyStopped = "stopped"
	whyTimeout = "timeout"
)

// centi is the unit of /proc/uptime, and so of all durations that a host tells.
func centi(n int64) time.Duration { return time.Duration(n) * 10 * time.Millisecond }

func inCenti(d time.Duration) string {
	return strconv.FormatInt(int64((d+9*time.Millisecond)/(10*time.Millisecond)), 10)
}

// signals are those of Linux by number: a shell tells a death by signal N as
// status 128+N, and the hosts' numbers need not be those of this machine.
var signals = map[int]string{
	1: "SIGHUP", 2: "SIGINT", 3: "SIGQUIT", 4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS",
	8: "SIGFPE", 9: "SIGKILL", 10: "SIGUSR1", 11: "SIGSEGV", 12: "SIGUSR2", 13: "SIGPIPE",
	14: "SIGALRM", 15: "SIGTERM", 16: "SIGSTKFLT", 24: "SIGXCPU", 25: "SIGXFSZ", 26: "SIGVTALRM",
	27: "SIGPROF", 29: "SIGIO", 30: "SIGPWR", 31: "SIGSYS",
}
