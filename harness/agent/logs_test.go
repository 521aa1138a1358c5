package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/launchplan/launch/harness/wire"
)

// An agent whose every heartbeat tells of a change has as little room for logs as others.
func TestLogsOfABusyAgentAreCut(t *testing.T) {
	a := &Agent{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), table: NewTable(1, 4), changed: true}
	run(a.table, "chatty", 0)
	path := filepath.Join(a.Dir, processesDir, "chatty", wire.LogFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, maxLog+1); err != nil {
		t.Fatal(err)
	}
	a.beat(&liveSet{})
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if limit := int64(keptLogOnTrim + 1024); info.Size() > limit {
		t.Errorf("the log has %d bytes, not %d", info.Size(), limit)
	}
}

// Of the output of a round there is nothing from before, unless the log was cut since.
func TestOutputOfARound(t *testing.T) {
	s := &logServer{dir: t.TempDir(), live: &liveSet{}}
	path := filepath.Join(s.dir, "p", wire.LogFile)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("before\nnow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		begin, offset int64
		round         bool
		want          string
	}{
		{7, 0, false, "before\nnow\n"}, {7, 0, true, "now\n"}, {7, 9, true, "w\n"}, {7, -2, true, "w\n"},
		{11, 0, true, ""}, {100, 0, true, "before\nnow\n"}, {100, 7, true, "now\n"},
	} {
		logs, err := s.read(wire.LogsRequest{ID: "p", Offset: tc.offset, Round: tc.round}, tc.begin)
		if err != nil || string(logs.Data) != tc.want || !logs.End {
			t.Errorf("%+v: %q, %v", tc, logs.Data, err)
		}
	}
}
