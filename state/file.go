package state

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"io/fs"
)

// A File of the plan's snapshot.
type File struct {
	Dir, Path string
	Mode      fs.FileMode
	Content   []byte
}

// insertFiles keeps a content once, however many files and runs have it.
func insertFiles(ctx context.Context, tx *statements, run string, generation int, files []File) error {
	for _, file := range files {
		sum := sha256.Sum256(file.Content)
		content := file.Content
		if content == nil {
			content = []byte{} // nil would be NULL
		}
		if _, err := tx.exec(ctx, `INSERT INTO contents (sha256, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING`, sum[:], content); err != nil {
			return fmt.Errorf("file %s: %w", file.Path, err)
		}
		_, err := tx.exec(ctx, `INSERT INTO files (run, generation, dir, path, mode, sha256) VALUES (?, ?, ?, ?, ?, ?)`,
			run, generation, file.Dir, file.Path, int64(file.Mode), sum[:])
		if err != nil {
			return fmt.Errorf("file %s: %w", file.Path, err)
		}
	}
	return nil
}

// Files returns the plan's files of a generation. A content that is not what was recorded, or a plan without files, which
// cannot be, is a damaged store: of the plan's author nothing would explain it.
func (db *DB) Files(ctx context.Context, run string, generation int) ([]File, error) {
	files, err := query(ctx, db, func(rows *sql.Rows) (f File, err error) {
		var sum []byte
		err = rows.Scan(&f.Dir, &f.Path, &f.Mode, &sum, &f.Content)
		if is := sha256.Sum256(f.Content); err == nil && !bytes.Equal(is[:], sum) {
			err = fmt.Errorf("a content other than was recorded (%s)", f.Path)
		}
		return f, err
	}, "a plan file", `
		SELECT dir, path, mode, sha256, bytes FROM files JOIN contents USING (sha256)
		WHERE run = ? AND generation = ? ORDER BY dir, path`, run, generation)
	if err == nil && len(files) == 0 {
		err = db.Damaged("the run", fmt.Sprintf("no files of generation %d of its plan", generation))
	}
	if err != nil {
		return nil, fmt.Errorf("read the plan of run %s: %w", run, err)
	}
	return files, nil
}
