package broker

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// quiet is a server's log that nobody reads.
type quiet struct{}

func (quiet) Noticef(string, ...any) {}
func (quiet) Warnf(string, ...any)   {}
func (quiet) Fatalf(string, ...any)  {}
func (quiet) Errorf(string, ...any)  {}
func (quiet) Debugf(string, ...any)  {}
func (quiet) Tracef(string, ...any)  {}

// TestFullDisk has the disk be full for a while: what was kept before is there after it, and
// can be written again.
func TestFullDisk(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	o := Options{Listen: "127.0.0.1:0", Store: t.TempDir(), Credentials: NewCredentials(), Log: quiet{}}
	urls := make(chan string, 1)
	running.Go(func() {
		if err := Run(ctx, o, func(url string) { urls <- url }); err != nil {
			t.Error(err)
			cancel()
		}
	})
	var url string
	select {
	case url = <-urls:
	case <-ctx.Done():
		t.Fatal("the broker does not start")
	}
	conn, err := Connect(ctx, Address{URL: url, Credentials: saved(t, o.Credentials)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b, err := Prepare(ctx, conn, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Records.PutString(ctx, "k", "before"); err != nil {
		t.Fatal(err)
	}
	fillDisk(t, o.Store)
	for { // what is under way when the server ends has no answer
		attempt, done := context.WithTimeout(ctx, answerLast)
		_, err = b.Records.PutString(attempt, "other", "after")
		done()
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("it cannot be written any more: %v", err)
		}
	}
	if e, err := b.Records.Get(ctx, "k"); err != nil || string(e.Value()) != "before" {
		t.Errorf("what was kept before: %v, %v", e, err)
	}
}

// fillDisk has all writes to the open files of a store fail for want of space.
func fillDisk(t *testing.T, store string) {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	filled := 0
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, link := range links {
		if name, err := os.Readlink(link); err != nil || !strings.HasPrefix(name, store) || !strings.HasSuffix(name, ".blk") {
			continue
		}
		fd, err := strconv.Atoi(filepath.Base(link))
		if err == nil {
			err = unix.Dup3(int(full.Fd()), fd, unix.O_CLOEXEC)
		}
		if err != nil {
			t.Fatal(err)
		}
		filled++
	}
	if filled == 0 {
		t.Fatal("the store has no open files")
	}
}
