// Package records is the append-only file in which the supervisors of a run
// write down what they start and how that ended: one line of JSON per record, one
// write(2) per line. It says what became of each program when the supervisor is dead.
package records

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/launchplan/launch/internal/proc"
	"github.com/launchplan/launch/runners"
)

// What a Record tells.
const (
	Intent  = "intent"  // the program is about to be started
	Start   = "start"   // it runs
	Failed  = "failed"  // it could not be started, so it may be later
	End     = "end"     // it has ended
	Removed = "removed" // the programs of a service, or all, are forgotten
)

// A Record is one line of the file.
type Record struct {
	What    string          `json:"what"`
	Service string          `json:"service,omitempty"`
	Name    string          `json:"name,omitempty"`
	At      time.Time       `json:"at"`
	Begun   *Begun          `json:"program,omitempty"` // of Intent
	Process *proc.Identity  `json:"process,omitempty"` // of Intent: only Boot; of Start; of End where Left
	Result  *runners.Result `json:"result,omitempty"`  // of End
	Left    bool            `json:"left,omitempty"`    // of End: processes of its group were left
}

// ID is that of the record's program.
func (r Record) ID() runners.ID { return runners.ID{Service: r.Service, Name: r.Name} }

// Begun is what must be known about a program after its supervisor's death.
type Begun struct {
	Kind    runners.Kind  `json:"kind"`
	Label   string        `json:"label"`
	Marker  string        `json:"marker"`
	Timeout time.Duration `json:"timeout,omitempty"`
	Stop    runners.Stop  `json:"stop"`
	User    string        `json:"user,omitempty"`
}

// A Program is what a file says about one.
type Program struct {
	ID      runners.ID
	Begun   *Begun // nil where it has ended and nothing was left: of a run's thousands most are so
	Boot    string
	Process proc.Identity // PID 0: not written down
	Started time.Time
	Result  *runners.Result // nil: no end record
	Left    bool
}

// A File is open for appending.
type File struct {
	mu   sync.Mutex
	file *os.File
	size int64
	owed [][]byte // lines that could not be written yet
}

// maxSize bounds what is read: 100,000 services with ten programs each need a quarter of it.
const maxSize = 2 << 30

const (
	// MaxLabel bounds a label, which is a path or a name.
	MaxLabel = 4 << 10
	// maxLine bounds a record: a label of which each byte is written as \u0000, two
	// names of 200 bytes, in the marker once more, and some numbers.
	maxLine = 64 << 10
)

// Load returns the programs that the file tells about, in the order of their
// intents. A file that does not exist has none. The error names the file and the line.
func Load(path string) ([]*Program, error) {
	programs, _, err := load(path)
	return programs, err
}

// Open loads the file, which is made where it does not exist, for appending.
// A last line that was cut short by a full disk or a crash was never relied on, and is cut off.
func Open(path string) (*File, []*Program, error) {
	programs, size, err := load(path)
	if err != nil {
		return nil, nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := file.Truncate(size); err != nil {
		file.Close()
		return nil, nil, err
	}
	return &File{file: file, size: size}, programs, nil
}

func load(path string) (programs []*Program, size int64, err error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSize {
		return nil, 0, fmt.Errorf("%s is not a file of records", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	programs, size, err = parse(file)
	if err != nil {
		return nil, 0, fmt.Errorf("the records of this run's programs are damaged: %s:%w", path, err)
	}
	return programs, size, nil
}

// parse returns the programs, and how long the part of the file is that can be relied on.
func parse(file io.Reader) ([]*Program, int64, error) {
	var order []*Program
	known := map[runners.ID]*Program{}
	size, line := 0, 0
	boot := "" // of the record before: mostly all have the same, and one copy is enough
	lines := bufio.NewReaderSize(file, maxLine)
	for {
		text, err := lines.ReadSlice('\n')
		if err == io.EOF {
			break // what stands there without an end was cut short
		}
		line++
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, 0, fmt.Errorf("%d: a line of more than %d bytes", line, maxLine)
		}
		if err != nil {
			return nil, 0, err
		}
		var r Record
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, 0, fmt.Errorf("%d: %w", line, err)
		}
		if r.Process != nil {
			if r.Process.Boot == boot {
				r.Process.Boot = boot
			}
			boot = r.Process.Boot
		}
		if err := apply(known, &order, r); err != nil {
			return nil, 0, fmt.Errorf("%d: %w", line, err)
		}
		size += len(text)
	}
	var programs []*Program
	for _, p := range order {
		if known[p.ID] == p {
			programs = append(programs, p)
		}
	}
	return programs, int64(size), nil
}

func apply(known map[runners.ID]*Program, order *[]*Program, r Record) error {
	p := known[r.ID()]
	switch r.What {
	case Intent:
		if p != nil {
			return fmt.Errorf("%s begins twice", r.ID())
		}
		if r.Begun == nil || r.Process == nil || r.Service == "" || r.Name == "" {
			return errors.New("an intent that does not say of what")
		}
		p = &Program{ID: r.ID(), Begun: r.Begun, Boot: r.Process.Boot, Started: r.At}
		known[p.ID] = p
		*order = append(*order, p)
		return nil
	case Removed:
		for id := range known {
			if r.Service == "" || r.Service == id.Service {
				delete(known, id)
			}
		}
		return nil
	}
	switch {
	case p == nil:
		return fmt.Errorf("%q of %s, which never began", r.What, r.ID())
	case p.Result != nil:
		return fmt.Errorf("%q of %s, which has ended", r.What, r.ID())
	}
	switch {
	case r.What == Start && r.Process != nil:
		p.Process, p.Started = *r.Process, r.At
	case r.What == Failed:
		delete(known, p.ID)
	case r.What == End && r.Result != nil:
		p.Result, p.Left = r.Result, r.Left
		if !p.Left {
			p.Begun = nil
		}
		if r.Process != nil {
			p.Process = *r.Process
		}
	default:
		return fmt.Errorf("a record %q that cannot be understood", r.What)
	}
	return nil
}

// Append writes r in one piece, or not at all. It does not where something is owed that
// cannot be written either: out of their order, the records of a program make no sense.
func (f *File) Append(r Record) error {
	line, err := encode(r)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.pay(); err != nil {
		return err
	}
	return f.write(line)
}

// Owe writes r, or keeps it for when that works, and says why it does not: what has
// happened must not be lost to a full disk.
func (f *File) Owe(r Record) error {
	line, err := encode(r)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owed = append(f.owed, line)
	return f.pay()
}

// Pay writes what is owed, as far as that works, and tells whether that was all.
func (f *File) Pay() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pay() == nil
}

func encode(r Record) ([]byte, error) {
	line, err := json.Marshal(r)
	return append(line, '\n'), err
}

func (f *File) pay() error {
	for len(f.owed) > 0 {
		if err := f.write(f.owed[0]); err != nil {
			return err
		}
		f.owed = f.owed[1:]
	}
	return nil
}

func (f *File) write(line []byte) error {
	if n, err := f.file.Write(line); err != nil {
		if n > 0 {
			err = errors.Join(err, f.file.Truncate(f.size))
		}
		return err
	}
	f.size += int64(len(line))
	return nil
}

// Close closes the file.
func (f *File) Close() error { return f.file.Close() }
