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
