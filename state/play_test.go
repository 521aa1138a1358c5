package state

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// playVariable makes the test binary play a part of a test in a process of its own.
const playVariable = "LAUNCH_STATE_TEST_PLAY"

// A child is a process that plays a part.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// play starts a part and returns when it says that it is ready.
func play(t testing.TB, part string, args ...string) *child {
	t.Helper()
	c := command(t, part, args...)
	c.start(t)
	if line := c.line(t); line != "ready" {
		t.Fatalf("%s says %q", part, line)
	}
	return c
}

// command is a part that is not started yet.
func command(t testing.TB, part string, args ...string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), playVariable+"="+strings.Join(append([]string{part}, args...), "|"))
	cmd.Stderr = os.Stderr
	return &child{cmd: cmd}
}

func (c *child) start(t testing.TB) {
	t.Helper()
	in, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewReader(out)
	t.Cleanup(func() { in.Close(); c.cmd.Wait() })
}

func (c *child) line(t testing.TB) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("read from the other process: %v", err)
	}
	return strings.TrimSpace(line)
}

// kill ends the process as a kill -9 does, waits for its end and returns what it had said and nobody had read.
func (c *child) kill(t testing.TB) (said []string) {
	t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(c.out)
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Wait()
	return strings.Fields(string(rest))
}

// playPart is the other side: main of a process that plays a part.
func playPart(setting string) int {
	part, rest, _ := strings.Cut(setting, "|")
	args := strings.Split(rest, "|")
	err := errors.New("no such part: " + part)
	switch part {
	case "lock":
		err = playLock(args[0])
	case "race":
		err = playRace(args[0], args[1])
	case "fill":
		err = playFill(args[0], args[1])
	case "count":
		err = playCount(args[0])
	case "cut log":
		err = playCutLog(args[0], args[1])
	case "open":
		err = playOpen(args[0])
	}
	if err != nil {
		fmt.Println("error: " + err.Error())
		return 1
	}
	return 0
}

// say tells the test something, and hold waits until it closes our stdin.
func say(text string) { fmt.Println(text) }
func hold()           { io.Copy(io.Discard, os.Stdin) }

func playLock(dir string) error {
	db, err := Open(context.Background(), dir)
	if err != nil {
		return err
	}
	if _, _, err := db.Lock(runID, "boot"); err != nil {
		return err
	}
	say("ready")
	hold()
	return nil
}

// playRace moves every service of a run on, against others who do the same, and says how many it moved.
func playRace(dir, run string) error {
	db, err := Open(context.Background(), dir)
	if err != nil {
		return err
	}
	defer db.Close()
	services, err := db.Services(context.Background(), run)
	if err != nil {
		return err
	}
	say("ready")
	hold()
	w := db.Writer(run)
	won := 0
	for _, s := range services {
		err := w.Write(context.Background(), move(s, Booting))
		if err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
		if err == nil {
			won++
		}
	}
	say(strconv.Itoa(won))
	return nil
}

// playFill writes notes until that fails or there are as many as asked for; it says how many were durable, then why it ended.
func playFill(dir, limit string) error {
	signal.Ignore(syscall.SIGXFSZ) // what a limit on the size of files sends before EFBIG
	if bytes, err := strconv.ParseUint(limit, 10, 64); err == nil {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: bytes}); err != nil {
			return err
		}
	}
	db, err := Open(context.Background(), dir)
	if err != nil {
		return err
	}
	defer db.Close()
	w := db.Writer(runID)
	for n := range 20_000 {
		c := Change{Event: Event{Kind: "note", Cause: strings.Repeat("a note of some length ", 10)}}
		if err := w.Write(context.Background(), c); err != nil {
			say(strconv.Itoa(n))
			say(err.Error())
			again := w.Write(context.Background(), c)
			say(fmt.Sprint(again))
			return nil
		}
	}
	say("it never failed")
	return nil
}

// playCount says a number when as many notes are durable, without end.
func playCount(dir string) error {
	db, err := Open(context.Background(), dir)
	if err != nil {
		return err
	}
	say("ready")
	w := db.Writer(runID)
	for n := 1; ; n++ {
		if err := w.Write(context.Background(), Change{Event: Event{Kind: "note", Attempt: n}}); err != nil {
			return err
		}
		say(strconv.Itoa(n))
	}
}

func playOpen(dir string) error {
	db, err := Open(context.Background(), dir)
	if err != nil {
		return err
	}
	say("ready")
	return db.Close()
}

// playCutLog cuts the log to a part of what it wrote, and says what comes of the next change.
func playCutLog(dir, percent string) error {
	db, err := Open(context.Background(), dir)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.CreateRun(context.Background(), aRun("R2", "beta", 50)); err != nil { // many pages in one transaction
		return err
	}
	part, err := strconv.ParseInt(percent, 10, 64)
	if err == nil {
		err = os.Truncate(db.place.wal(), db.logSize()*part/100)
	}
	if err == nil {
		err = db.Writer(runID).Write(context.Background(), Change{Event: Event{Kind: "note"}})
	}
	say(fmt.Sprint(err))
	return nil
}
