package state

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// A Run as the store keeps it. Times are kept to the microsecond.
type Run struct {
	ID         string // ULID
	Name       string
	Plan       string // the plan directory's absolute path
	Status     RunStatus
	Error      string // why it failed, for list and history
	Created    time.Time
	Since      time.Time // of Status
	Generation int       // of the plan's files: 1, and one more with each reload
	Captured   []byte    // JSON: variables, env() values (the plan package's business)
	Options    []byte    // JSON: --until, --on-failure (the engine's business)
	Key        []byte    // 32 random bytes for fingerprints
	Outputs    []byte    // JSON: name -> value, without sensitive ones
}

// A Level of a run.
type Level struct {
	Name     string
	Position int
	Group    bool
}

// A NewRun is everything that makes a run, written in one transaction.
type NewRun struct {
	Run      Run
	Levels   []Level
	Services []Service
	Files    []File
}

// CreateRun records a new run. ErrNameTaken where a run of that name is not terminated.
func (db *DB) CreateRun(ctx context.Context, run NewRun) error {
	err := db.inTx(ctx, func(tx *statements) error {
		if err := insertRun(ctx, tx, run.Run); err != nil {
			return err
		}
		if err := insertLevels(ctx, tx, run.Run.ID, run.Levels); err != nil {
			return err
		}
		if err := insertServices(ctx, tx, run.Run, run.Services); err != nil {
			return err
		}
		return insertFiles(ctx, tx, run.Run.ID, run.Run.Generation, run.Files)
	})
	if err != nil {
		return fmt.Errorf("record run %s: %w", run.Run.Name, err)
	}
	return nil
}

func insertRun(ctx context.Context, tx *statements, run Run) error {
	var taken bool
	err := tx.conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM runs WHERE name = ? AND status <> 'terminated')`, run.Name).Scan(&taken)
	if err != nil {
		return err
	}
	if taken {
		return ErrNameTaken
	}
	_, err = tx.exec(ctx, `
		INSERT INTO runs (id, name, plan, status, error, created, since, generation, captured, options, key, outputs)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		run.ID, run.Name, run.Plan, string(run.Status), run.Error, timeText(run.Created), timeText(run.Since),
		run.Generation, jsonText(run.Captured), jsonText(run.Options), run.Key, jsonText(run.Outputs))
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, insertEvent, run.ID, run.ID, timeText(run.Created), "", "run", "", string(run.Status), 0, "", nil)
	return err
}

func insertLevels(ctx context.Context, tx *statements, run string, levels []Level) error {
	for _, level := range levels {
		_, err := tx.exec(ctx, `INSERT INTO levels (run, position, name, is_group) VALUES (?, ?, ?, ?)`, run, level.Position, level.Name, level.Group)
		if err != nil {
			return fmt.Errorf("level %s: %w", level.Name, err)
		}
	}
	return nil
}

// insertServices goes by address, the order in which the table lies on the disk: a
// hundred thousand rows in another order would move every page in and out of SQLite's cache many times.
func insertServices(ctx context.Context, tx *statements, run Run, services []Service) error {
	order := make([]int32, len(services))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(services[a].Address, services[b].Address) })
	for _, i := range order {
		if _, err := tx.exec(ctx, insertService, serviceRow(run.ID, &services[i], run.Created)...); err != nil {
			return fmt.Errorf("service %s: %w", services[i].Address, err)
		}
	}
	return nil
}

// Runs returns all runs, oldest first.
func (db *DB) Runs(ctx context.Context) ([]Run, error) {
	all, err := db.queryRuns(ctx, `ORDER BY rowid`)
	if err != nil {
		return nil, fmt.Errorf("read the runs: %w", err)
	}
	return all, nil
}

// FindRun returns the newest run with this name or ID; ErrNoRun. An ID comes before a name that looks like it.
func (db *DB) FindRun(ctx context.Context, nameOrID string) (Run, error) {
	found, err := db.queryRuns(ctx, `WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC, rowid DESC LIMIT 1`, nameOrID)
	if err != nil {
		return Run{}, fmt.Errorf("find run %s: %w", nameOrID, err)
	}
	if len(found) == 0 {
		return Run{}, fmt.Errorf("%w: %s", ErrNoRun, nameOrID)
	}
	return found[0], nil
}

func (db *DB) queryRuns(ctx context.Context, where string, args ...any) ([]Run, error) {
	const columns = `SELECT id, name, plan, status, error, created, since, generation, captured, options, key, outputs FROM runs `
	return query(ctx, db, func(rows *sql.Rows) (r Run, err error) {
		err = rows.Scan(&r.ID, &r.Name, &r.Plan, &r.Status, &r.Error, clock{&r.Created}, clock{&r.Since},
			&r.Generation, &r.Captured, &r.Options, &r.Key, &r.Outputs)
		if err == nil && !r.Status.Valid() {
			err = fmt.Errorf("status %q", r.Status)
		}
		return r, err
	}, "a run", columns+where, args...)
}

// query reads rows. One that cannot be scanned, which only another program can have written, is a damaged store.
func query[T any](ctx context.Context, db *DB, scan func(*sql.Rows) (T, error), row, text string, args ...any) (all []T, err error) {
	err = each(ctx, db, scan, func(one T) error { all = append(all, one); return nil }, row, text, args...)
	return all, err
}

// each is query for more rows than should be in memory at once: take has one after the other, and its error ends that.
func each[T any](ctx context.Context, db *DB, scan func(*sql.Rows) (T, error), take func(T) error, row, text string, args ...any) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// A connection whose query is interrupted is given up, and with the last one SQLite removes the log. So ctx is asked
	// between the rows.
	rows, err := db.sql.QueryContext(context.WithoutCancel(ctx), text, args...)
	if err != nil {
		return db.problem(err)
	}
	defer rows.Close()
	for rows.Next() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		one, err := scan(rows)
		if err != nil {
			if ours := errors.Unwrap(err); ours != nil { // without database/sql's words around it
				err = ours
			}
			return damagedRow(db.path, row, err.Error())
		}
		if err := take(one); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return db.problem(err)
	}
	return nil
}

// Levels returns a run's levels by position.
func (db *DB) Levels(ctx context.Context, run string) ([]Level, error) {
	levels, err := query(ctx, db, func(rows *sql.Rows) (l Level, err error) {
		return l, rows.Scan(&l.Name, &l.Position, &l.Group)
	}, "a level", `SELECT name, position, is_group FROM levels WHERE run = ? ORDER BY position`, run)
	if err != nil {
		return nil, fmt.Errorf("read the levels of run %s: %w", run, err)
	}
	return levels, nil
}

// Purge forgets a terminated run altogether, files and journal included; any other is refused.
func (db *DB) Purge(ctx context.Context, run string) error {
	err := db.inTx(ctx, func(tx *statements) error {
		var status RunStatus
		err := tx.conn.QueryRowContext(ctx, `SELECT status FROM runs WHERE id = ?`, run).Scan(&status)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNoRun
		}
		if err != nil {
			return err
		}
		if status != RunTerminated {
			return fmt.Errorf("it is %s, only a terminated run can be forgotten", status)
		}
		if _, err := tx.exec(ctx, `DELETE FROM runs WHERE id = ?`, run); err != nil { // the rest goes with it
			return err
		}
		_, err = tx.exec(ctx, `DELETE FROM contents WHERE NOT EXISTS (SELECT 1 FROM files WHERE files.sha256 = contents.sha256)`)
		return err
	})
	if err == nil || errors.Is(err, ErrNoRun) { // another purge was first: the file is ours, from our locking it
		os.Remove(db.lockPath(run)) // an empty file; where it stays nothing is wrong
	}
	if err != nil {
		return fmt.Errorf("purge run %s: %w", run, err)
	}
	return nil
}
