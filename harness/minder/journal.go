package minder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/launchplan/launch/harness/wire"
)

// compactAt is the number of lines at which a journal is written anew with only
// what is still known, unless more than half of them are.
const compactAt = 4096

// journal is the minder's record of its processes: a line for every change. It is
// not synced: it has to survive the minder, and a power cut takes the processes, too.
type journal struct {
	path      string
	file      *os.File
	torn      bool // the last line may be a part only: the disk was full
	lines     int
	processes []Process // as they stood when it was opened
	whole     bool      // it was there then, every line of it
}

func openJournal(path string) (*journal, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	j := &journal{path: path}
	j.processes, j.whole = ReadJournal(data)
	j.whole = j.whole && err == nil
	known := map[wire.Target]*Process{}
	for i := range j.processes {
		known[j.processes[i].Target] = &j.processes[i]
	}
	return j, j.rewrite(known)
}

// write appends a process's state. An error cannot be helped here: the processes
// are looked after all the same, and the file is only read when the minder died.
func (j *journal) write(p Process) {
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // our own type
	}
	data = append(data, '\n')
	if j.torn { // what follows must not be lost with it
		data = append([]byte{'\n'}, data...)
	}
	_, err = j.file.Write(data)
	j.torn = err != nil
	j.lines++
}

func (j *journal) compact(known map[wire.Target]*Process) {
	if j.lines >= compactAt && j.lines > 2*len(known) {
		j.rewrite(known) // where this fails, the longer file has the same in it
	}
}

func (j *journal) rewrite(known map[wire.Target]*Process) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	for _, p := range known {
		if err := enc.Encode(p); err != nil {
			return err
		}
	}
	next := j.path + ".next"
	if err := os.WriteFile(next, buf.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write the minder's journal: %w", err)
	}
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("write the minder's journal: %w", err)
	}
	if err := os.Rename(next, j.path); err != nil {
		return errors.Join(err, file.Close())
	}
	j.close()
	j.file, j.lines, j.torn = file, len(known), false
	return nil
}

func (j *journal) close() {
	if j.file != nil {
		j.file.Close()
	}
}
