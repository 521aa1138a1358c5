package state

import (
	"context"
	"errors"
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// A Change is one or more rows of the journal with what they change, applied together.
type Change struct {
	// Event is the change's row in the journal. At is filled in where zero. With a Service or a Run, Kind, To and
	// Service say what that row says.
	Event Event

	// Run is the run's whole new row, or Service a service's; never both. It must be in status Event.From, and its new status must be
	// reachable from that: else ErrConflict. ID, Name, Created and Key of a run stay as they are.
	Run     *Run
	Service *Service

	// Resources are put, replacing those with the same Kind and Key.
	Resources []Resource

	// Add is what a reload adds. Its Run is ignored. Levels, where there are any, replace the run's levels. A service that
	// is there already keeps its row, but for Level and Position. Files are those of the
	// generation that the run has after this change.
	Add *NewRun
}

// complete fills in the event, so that the journal and the rows cannot differ, and makes the change independent of
// what the caller does with its rows afterwards.
func (c Change) complete() Change {
	if c.Event.At.IsZero() {
		c.Event.At = time.Now()
	}
	switch {
	case c.Service != nil:
		service := *c.Service
		c.Service = &service
		c.Event.Kind, c.Event.Service, c.Event.To = "service", service.Address, string(service.Status)
	case c.Run != nil:
		run := *c.Run
		c.Run = &run
		c.Event.Kind, c.Event.To = "run", string(run.Status)
	}
	return c
}

// apply makes the change in the transaction that to is in. Where the error is the change's own fault (see
// ownFault), nothing is left of it and the transaction goes on.
func (c *Change) apply(ctx context.Context, to *statements, run string) error {
	// With one condition at most, which the first statement checks, it applies whole or not at all by itself.
	if c.Add == nil {
		return c.write(ctx, to, run)
	}
	if _, err := to.exec(ctx, `SAVEPOINT change`); err != nil {
		return err
	}
	err := c.write(ctx, to, run)
	if err != nil && !ownFault(err) {
		return err // the transaction is lost anyway
	}
	if err != nil {
		if _, err := to.exec(ctx, `ROLLBACK TO change`); err != nil {
			return err
		}
	}
	if _, err := to.exec(ctx, `RELEASE change`); err != nil {
		return err
	}
	return err
}

// ownFault says whether an error concerns one change alone, not the store.
func ownFault(err error) bool {
	return errors.Is(err, ErrConflict) || sqliteCode(err)&0xff == sqlite3.SQLITE_CONSTRAINT
}

func (c *Change) write(ctx context.Context, to *statements, run string) error {
	if c.Run != nil {
		if err := c.writeRun(ctx, to, run); err != nil {
			return err
		}
	}
	if c.Service != nil {
		if err := c.writeService(ctx, to, run); err != nil {
			return err
		}
	}
	for i := range c.Resources {
		if _, err := to.exec(ctx, putResource, resourceRow(run, &c.Resources[i], c.Event.At)...); err != nil {
			return fmt.Errorf("record %s %s: %w", c.Resources[i].Kind, c.Resources[i].Key, err)
		}
	}
	if c.Add != nil {
		if err := c.add(ctx, to, run); err != nil {
			return err
		}
	}
	e := &c.Event
	_, err := to.exec(ctx, insertEvent, run, run, timeText(e.At), e.Service, e.Kind, e.From, e.To, e.Attempt, e.Cause, jsonText(e.Detail))
	if err != nil {
		return fmt.Errorf("write the journal of run %s: %w", run, err)
	}
	return nil
}

func (c *Change) writeRun(ctx context.Context, to *statements, run string) error {
	from := RunStatus(c.Event.From)
	if !from.CanBecome(c.Run.Status) {
		return fmt.Errorf("run %s cannot go from %s to %s: %w", run, from, c.Run.Status, ErrConflict)
	}
	changed, err := to.exec(ctx, `
		UPDATE runs SET plan = ?, status = ?, error = ?, since = ?, generation = ?, captured = ?, options = ?, outputs = ?
		WHERE id = ? AND status = ?`,
		c.Run.Plan, string(c.Run.Status), c.Run.Error, sinceText(c.Run.Since, c.Event.At), c.Run.Generation, jsonText(c.Run.Captured), jsonText(c.Run.Options), jsonText(c.Run.Outputs),
		run, string(from))
	if err != nil {
		return fmt.Errorf("record run %s: %w", run, err)
	}
	if changed == 0 {
		return fmt.Errorf("run %s is not %s any more: %w", run, from, ErrConflict)
	}
	return nil
}

func (c *Change) writeService(ctx context.Context, to *statements, run string) error {
	s, from := c.Service, Status(c.Event.From)
	if !from.CanBecome(s.Status) {
		return fmt.Errorf("service %s cannot go from %s to %s: %w", s.Address, from, s.Status, ErrConflict)
	}
	changed, err := to.exec(ctx, `
		UPDATE services SET level = ?, position = ?, status = ?, runner = ?, host = ?, instance_id = ?, attempt = ?, phase = ?,
			error = ?, log = ?, since = ?, attributes = ?, withheld = ?, fingerprint = ?, detail = ?
		WHERE run = ? AND address = ? AND status = ?`,
		s.Level, s.Position, string(s.Status), s.Runner, s.Host, s.InstanceID, s.Attempt, s.Phase,
		s.Error, s.Log, sinceText(s.Since, c.Event.At), jsonText(s.Attributes), namesText(s.Withheld), s.Fingerprint, jsonText(s.Detail),
		run, s.Address, string(from))
	if err != nil {
		return fmt.Errorf("record service %s: %w", s.Address, err)
	}
	if changed == 0 {
		return fmt.Errorf("service %s is not %s any more: %w", s.Address, from, ErrConflict)
	}
	return nil
}

// add makes what a reload adds.
func (c *Change) add(ctx context.Context, to *statements, run string) error {
	if len(c.Add.Levels) > 0 {
		if _, err := to.exec(ctx, `DELETE FROM levels WHERE run = ?`, run); err != nil {
			return fmt.Errorf("replace the levels: %w", err)
		}
	}
	if err := insertLevels(ctx, to, run, c.Add.Levels); err != nil {
		return err
	}
	for i := range c.Add.Services {
		s := &c.Add.Services[i]
		_, err := to.exec(ctx, insertService+` ON CONFLICT (run, address) DO UPDATE SET level = excluded.level, position = excluded.position`,
			serviceRow(run, s, c.Event.At)...)
		if err != nil {
			return fmt.Errorf("add service %s: %w", s.Address, err)
		}
	}
	if len(c.Add.Files) == 0 {
		return nil
	}
	var generation int
	if err := to.conn.QueryRowContext(ctx, `SELECT generation FROM runs WHERE id = ?`, run).Scan(&generation); err != nil {
		return fmt.Errorf("read run %s: %w", run, err)
	}
	return insertFiles(ctx, to, run, generation, c.Add.Files)
}
