package state

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// A Service of a run, as of its last transition.
type Service struct {
	Address     string // "dispatch.core.web[0]"
	Level       string
	Position    int // in the run's order
	Status      Status
	Runner      string
	Host        string
	InstanceID  string
	Attempt     int       // of boot, counted over the run's life: a program ID is never used twice
	Phase       string    // of the last failure, or under way
	Error       string    // why it failed; "" otherwise
	Log         string    // path of the log that explains it
	Since       time.Time // of Status
	Attributes  []byte    // JSON, public ones only
	Withheld    []string  // names of the attributes that are sensitive
	Fingerprint string
	Detail      []byte // JSON of the engine's own: what resume needs to know of the attempt under way
}

// Services returns a run's services by position.
func (db *DB) Services(ctx context.Context, run string) ([]Service, error) {
	var services []Service
	err := db.EachService(ctx, run, func(s Service) error { services = append(services, s); return nil })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(services, func(a, b Service) int { return cmp.Compare(a.Position, b.Position) })
	return services, nil
}

// EachService gives take a run's services one after the other, in no order. The first error of take ends that, and is returned.
func (db *DB) EachService(ctx context.Context, run string, take func(Service) error) error {
	var refused error
	err := each(ctx, db, func(rows *sql.Rows) (s Service, err error) {
		err = rows.Scan(&s.Address, &s.Level, &s.Position, &s.Status, &s.Runner, &s.Host, &s.InstanceID, &s.Attempt, &s.Phase,
			&s.Error, &s.Log, clock{&s.Since}, &s.Attributes, names{&s.Withheld}, &s.Fingerprint, &s.Detail)
		if err == nil && !s.Status.Valid() {
			err = fmt.Errorf("status %q", s.Status)
		}
		return s, err
	}, func(s Service) error { refused = take(s); return refused }, "a service", `
		SELECT address, level, position, status, runner, host, instance_id, attempt, phase,
		       error, log, since, attributes, withheld, fingerprint, detail
		FROM services WHERE run = ?`, run)
	if err != nil && refused == nil {
		return fmt.Errorf("read the services of run %s: %w", run, err)
	}
	return err
}

const insertService = `
	INSERT INTO services (run, address, level, position, status, runner, host, instance_id, attempt, phase,
	                      error, log, since, attributes, withheld, fingerprint, detail)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// serviceRow is what insertService takes. A service without a time of its own is in its status since at.
func serviceRow(run string, s *Service, at time.Time) []any {
	return []any{run, s.Address, s.Level, s.Position, string(s.Status), s.Runner, s.Host, s.InstanceID, s.Attempt, s.Phase,
		s.Error, s.Log, sinceText(s.Since, at), jsonText(s.Attributes), namesText(s.Withheld), s.Fingerprint, jsonText(s.Detail)}
}
