package state

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// A Resource mirrors runners.Resource; the engine converts.
type Resource struct {
	Kind, Key, ID, Service, Status, Data string
	Since                                time.Time
}

// Resources returns a run's resources by kind and key.
func (db *DB) Resources(ctx context.Context, run string) ([]Resource, error) {
	resources, err := query(ctx, db, func(rows *sql.Rows) (r Resource, err error) {
		return r, rows.Scan(&r.Kind, &r.Key, &r.ID, &r.Service, &r.Status, &r.Data, clock{&r.Since})
	}, "a resource", `SELECT kind, key, id, service, status, data, since FROM resources WHERE run = ? ORDER BY kind, key`, run)
	if err != nil {
		return nil, fmt.Errorf("read the resources of run %s: %w", run, err)
	}
	return resources, nil
}

const putResource = `
	INSERT INTO resources (run, kind, key, id, service, status, data, since) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
	ON CONFLICT (run, kind, key) DO UPDATE SET
		id = excluded.id, service = excluded.service, status = excluded.status, data = excluded.data, since = excluded.since`

// resourceRow is what putResource takes.
func resourceRow(run string, r *Resource, at time.Time) []any {
	return []any{run, r.Kind, r.Key, r.ID, r.Service, r.Status, r.Data, sinceText(r.Since, at)}
}
