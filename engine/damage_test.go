package engine

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/launchplan/launch/plan"
	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/state"
)

// TestDamagedRun: what launch never wrote is told as damage of the store, and no run of which something is missing is
// taken for one that is not there.
func TestDamagedRun(t *testing.T) {
	for _, damage := range []string{
		`UPDATE services SET detail = '{"generation": "x"}'`,
		`UPDATE services SET detail = NULL`,
		`UPDATE services SET attributes = '{{'`,
		`UPDATE services SET address = 'l.other'`,
		`DELETE FROM services`,
		`INSERT INTO services SELECT run, 'l.other', level, 7, status, runner, host, instance_id, attempt, phase, error, log, since, attributes, withheld, fingerprint, detail FROM services`,
		`UPDATE runs SET options = 'garbage'`,
		`UPDATE runs SET captured = '[]'`,
		`UPDATE runs SET captured = '{"variables": {"v": {"type": 5}}}'`,
	} {
		t.Run(damage, func(t *testing.T) {
			h := &history{t: t, random: rand.New(rand.NewPCG(1, 1))}
			dir := t.TempDir()
			db, err := state.Open(context.Background(), dir)
			h.must(err)
			defer db.Close()
			h.machine = newMachine(&luck{random: h.random}, "127.0.0.1")
			h.machine.calm = true
			h.source = "level \"l\" {\n service \"s\" {\n boot { command = [\"boot\"] }\n }\n}\n"
			open := func(context.Context, struct{}, runners.Env) (runners.Runner, error) { return h.machine, nil }
			h.opts = Options{DB: db, Dir: dir, Command: "test", Runners: []RunnerType{Register("local", plan.NoHost, open)}}
			h.boot()

			raw, err := sql.Open("sqlite", filepath.Join(dir, "launch.db"))
			h.must(err)
			_, err = raw.Exec(damage)
			h.must(err)
			h.must(raw.Close())
			run, err := db.FindRun(context.Background(), h.run)
			h.must(err)
			s, err := Open(context.Background(), h.opts, run, nil)
			if _, told := errors.AsType[*state.StoreError](err); !told {
				t.Errorf("Open = %v, which does not tell of a damaged store", err)
			} else if strings.Contains(err.Error(), "Go ") || strings.Contains(err.Error(), "json") {
				t.Errorf("Open = %v, which is not for people", err)
			}
			if err == nil {
				h.must(s.Close())
			}
		})
	}
}
