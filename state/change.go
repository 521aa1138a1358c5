package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// A Change is one or more rows of the journal with what they change, applied together.
type Change struct {
	// Event is the change's row in the journal. At is filled in where zero. With a Service, or a Run that moves, To and
	// Service say what that row says, and Kind, where empty, is "service" or "run".
	Event Event

	// Run is the run's whole new row; ID, Name, Created and Key stay as they are. In a change without a Service that
	// has an Event.From, that is the status that the run must be in, and Event.To must be reachable from it: else
	// ErrConflict. Otherwise the run keeps its status: it must be in Run.Status.
	Run *Run

	// Service is a service's whole new row; the service must be in status Event.From, and Event.To must be reachable
	// from it: else ErrConflict. Where both are the same and Event.Kind is not "service", only the rest of the row changes.
	Service *Service

	// Resources are put, replacing those with the same Kind and Key.
	Resources []Resource

	// Add is what a reload adds. Its Run is ignored. Levels, where there are any, replace the run's levels. A service that
	// is there already keeps its row, but for Level and Position. Files are those of the
	// generation that the run has after this change.
	Add *NewRun

	// RemoveServices are addresses that a reload took out. They must be terminated: else ErrConflict.
	RemoveServices []string
}

// complete fills in the event, so that the journal and the rows cannot differ, and makes the change independent of
// what the caller does with its rows afterwards.
func (c Change) complete() Change {
	if c.Event.At.IsZero() {
		c.Event.At = time.Now()
	}
	if c.Run != nil {
		run := *c.Run
		c.Run = &run
	}
	switch {
	case c.Service != nil:
		service := *c.Service
		c.Service = &service
		c.Event.Service, c.Event.To = service.Address, string(service.Status)
		c.Event.Kind = cmp.Or(c.Event.Kind, "service")
	case c.Run != nil && c.Event.From != "":
		c.Event.To = string(c.Run.Status)
		c.Event.Kind = cmp.Or(c.Event.Kind, "run")
	}
	return c
}

// apply makes the change in the transaction that to is in. Where the error is the change's own fault (see
// ownFault), nothing is left of it and the transaction goes on.
func (c *Change) apply(ctx context.Context, to *statements, run string) error {
	// With one condition at most, which the first statement checks, it applies whole or not at all by itself.
	if c.Add == nil && len(c.RemoveServices) == 0 && (c.Run == nil || c.Service == nil) {
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
	for _, address := range c.RemoveServices {
		removed, err := to.exec(ctx, `DELETE FROM services WHERE run = ? AND address = ? AND status = 'terminated'`, run, address)
		if err != nil {
			return fmt.Errorf("forget service %s: %w", address, err)
		}
		if removed == 0 {
			return fmt.Errorf("forget service %s, which is not terminated: %w", address, ErrConflict)
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
	from, since := c.Run.Status, keepOr(c.Run.Since)
	if c.Service == nil && c.Event.From != "" {
		from = RunStatus(c.Event.From)
		if since == nil {
			since = timeText(c.Event.At)
		}
		if !from.CanBecome(c.Run.Status) {
			return fmt.Errorf("run %s cannot go from %s to %s: %w", run, from, c.Run.Status, ErrConflict)
		}
	}
	changed, err := to.exec(ctx, `
		UPDATE runs SET plan = ?, status = ?, error = ?, since = coalesce(?, since), generation = ?, captured = ?, options = ?, outputs = ?
		WHERE id = ? AND status = ?`,
		c.Run.Plan, string(c.Run.Status), c.Run.Error, since, c.Run.Generation, jsonText(c.Run.Captured), jsonText(c.Run.Options), jsonText(c.Run.Outputs),
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
	moves := from != s.Status || c.Event.Kind == "service"
	if moves && !from.CanBecome(s.Status) {
		return fmt.Errorf("service %s cannot go from %s to %s: %w", s.Address, from, s.Status, ErrConflict)
	}
	since := keepOr(s.Since)
	if since == nil && from != s.Status {
		since = timeText(c.Event.At)
	}
	changed, err := to.exec(ctx, `
		UPDATE services SET level = ?, position = ?, status = ?, runner = ?, host = ?, instance_id = ?, attempt = ?, phase = ?,
			error = ?, log = ?, since = coalesce(?, since), attributes = ?, withheld = ?, fingerprint = ?, detail = ?
		WHERE run = ? AND address = ? AND status = ?`,
		s.Level, s.Position, string(s.Status), s.Runner, s.Host, s.InstanceID, s.Attempt, s.Phase,
		s.Error, s.Log, since, jsonText(s.Attributes), namesText(s.Withheld), s.Fingerprint, jsonText(s.Detail),
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
