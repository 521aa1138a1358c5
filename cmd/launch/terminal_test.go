//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A typist is at a terminal in which a command runs.
type typist struct {
	w      *world
	cmd    *exec.Cmd
	master *os.File
	output chan string // closed when nobody has the terminal any more
	screen string      // what of it was looked at
}

// at runs a command in a terminal of its own, of the type that term names.
func (w *world) at(term string, args ...string) *typist {
	w.t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	w.must(err)
	w.t.Cleanup(func() { master.Close() })
	w.must(unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	w.must(err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	w.must(err)
	defer slave.Close()
	p := &typist{w: w, cmd: exec.Command(filepath.Join(binaries, "launch"), args...), master: master, output: make(chan string)}
	p.cmd.Dir, p.cmd.Env = w.dir, append(w.env, "TERM="+term, "CI=", "PATH="+binaries+":"+os.Getenv("PATH"))
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	w.must(p.cmd.Start())
	go func() {
		defer close(p.output)
		for buf := make([]byte, 4096); ; {
			n, err := master.Read(buf)
			if err != nil {
				return
			}
			p.output <- string(buf[:n])
		}
	}()
	return p
}

// await waits until the screen has shown a text.
func (p *typist) await(text string) {
	p.w.t.Helper()
	hung := time.After(patience)
	for !strings.Contains(p.screen, text) {
		select {
		case more, ok := <-p.output:
			if !ok {
				p.w.t.Fatalf("%v ended and has shown %q, not %q", p.cmd.Args, p.screen, text)
			}
			p.screen += more
		case <-hung:
			p.w.t.Fatalf("%v has shown %q, not %q", p.cmd.Args, p.screen, text)
		}
	}
}

func (p *typist) types(text string) {
	p.w.t.Helper()
	_, err := io.WriteString(p.master, text)
	p.w.must(err)
}

// end waits for the command's end.
func (p *typist) end(status int) {
	p.w.t.Helper()
	hung := time.AfterFunc(patience, func() { p.cmd.Process.Signal(syscall.SIGABRT) })
	defer hung.Stop()
	for more := range p.output {
		p.screen += more
	}
	p.cmd.Wait()
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.w.t.Errorf("%v ended with %d, not %d:\n%s", p.cmd.Args, got, status, p.screen)
	}
}

// What a terminal is said not to understand is not written to it.
func TestDumbTerminal(t *testing.T) {
	for _, c := range []struct {
		term, noColor string
		escapes       bool
	}{
		{"xterm", "", true}, {"dumb", "", false}, {"xterm", "1", false},
	} {
		w := newWorld(t)
		bad := w.plan("p", "bad")
		w.env = append(w.env, "NO_COLOR="+c.noColor)
		p := w.at(c.term, "validate", bad)
		p.end(exitUsage)
		if strings.Contains(p.screen, "\x1b") != c.escapes || !strings.Contains(p.screen, "the plan has 1 error") {
			t.Errorf("with TERM=%s and NO_COLOR=%s it shows %q", c.term, c.noColor, p.screen)
		}
	}
}

// A question stands on the screen until it is answered, and an interrupt is an answer.
func TestQuestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const text = `
level "a" {
  service "s" {
    boot { command = ["echo", %q] }
  }
}
`
	w.launch("boot", w.plan("p", fmt.Sprintf(text, "one")), "-n", "r").want(exitOK)
	changed := w.plan("p2", fmt.Sprintf(text, "two"))
	const question = "Carry this out? [y/N] "
	for _, c := range []struct {
		answer, shown string
		status        int
	}{
		{"\x03", "launch: interrupted\r\n", exitInterrupted},
		{"\x04", "not confirmed; nothing was changed", exitFailed},
		{"n\n", "not confirmed; nothing was changed", exitFailed},
		{"y\n", "run r is ready: 1 ready", exitOK},
	} {
		p := w.at("xterm", "reload", "r", changed)
		p.await(question)
		if before := p.screen; !strings.Contains(before, "~ a.s is ended and brought up again") || strings.Contains(before, "run r") {
			t.Errorf("before the question is\n%s", before)
		}
		p.types(c.answer)
		p.await(c.shown)
		p.end(c.status)
		if after := p.screen; c.status != exitOK && strings.Contains(after, "run r is") {
			t.Errorf("after %q is\n%s", c.answer, after)
		}
	}
	w.wantNothingLeft("r")
}
