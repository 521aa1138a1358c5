package state

import (
	"context"
	"database/sql"
)

// statements runs statements on one connection and prepares each text once: preparing costs more than most of them.
type statements struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

func newStatements(conn *sql.Conn) *statements {
	return &statements{conn: conn, prepared: map[string]*sql.Stmt{}}
}

// exec returns how many rows changed.
func (s *statements) exec(ctx context.Context, text string, args ...any) (int64, error) {
	stmt := s.prepared[text]
	if stmt == nil {
		var err error
		if stmt, err = s.conn.PrepareContext(ctx, text); err != nil {
			return 0, err
		}
		s.prepared[text] = stmt
	}
	result, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// close gives the connection back.
func (s *statements) close() error {
	for _, stmt := range s.prepared {
		stmt.Close() // says again what an earlier failure said
	}
	return s.conn.Close()
}
