package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/launchplan/launch/runners"
	"github.com/launchplan/launch/runners/local/supervisor"
)

// A delivery brings what a program writes to its file to an Output, each byte
// once. A nil delivery does nothing.
type delivery struct {
	path string
	to   io.Writer
	file *os.File // nil: not opened yet
	at   int64
	buf  []byte
}

// piece is how much is read at once.
const piece = 64 << 10

func newDelivery(path string, to io.Writer) *delivery {
	if to == nil {
		return nil
	}
	return &delivery{path: path, to: to}
}

// more delivers what was appended, up to the head of output that is too long:
// what follows that may still lose its middle.
func (d *delivery) more() {
	if d != nil {
		d.upTo(supervisor.KeepHead) // an error comes again at the end
	}
}

// rest delivers what is left when the program has ended: all, or a word on what
// is left out and the tail.
func (d *delivery) rest() error {
	if d == nil {
		return nil
	}
	if d.file == nil { // most programs write nothing
		if info, err := os.Lstat(d.path); err == nil && info.Size() == 0 && info.Mode().IsRegular() {
			return nil
		}
	}
	err := d.open()
	if errors.Is(err, fs.ErrNotExist) {
		_, err = io.WriteString(d.to, "[launch: the file with the output of this program was removed]\n")
		return err
	}
	if err != nil {
		return err
	}
	defer d.file.Close()
	info, err := d.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size > runners.MaxOutput {
		if err := d.upTo(supervisor.KeepHead); err != nil {
			return err
		}
		tail := size - supervisor.KeepTail
		if _, err := fmt.Fprintf(d.to, "\n[launch: %d bytes of output were left out here]\n", tail-d.at); err != nil {
			return err
		}
		d.at = tail
	}
	return d.upTo(size)
}

func (d *delivery) open() error {
	if d.file != nil {
		return nil
	}
	file, err := openOutput(d.path)
	d.file = file
	return err
}

// openOutput opens a file with output for reading. A program may have put something
// else in its place, like a pipe that would keep us waiting.
func openOutput(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not the file that launch made there", path)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (d *delivery) upTo(end int64) error {
	if err := d.open(); err != nil {
		return err
	}
	if n := min(piece, max(1, d.size()-d.at)); int64(len(d.buf)) < n { // what most programs write is small
		d.buf = make([]byte, n)
	}
	for d.at < end {
		n, err := d.file.ReadAt(d.buf[:min(int64(len(d.buf)), end-d.at)], d.at)
		if n > 0 {
			if _, werr := d.to.Write(d.buf[:n]); werr != nil {
				return werr
			}
			d.at += int64(n)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *delivery) size() int64 {
	info, err := d.file.Stat()
	if err != nil {
		return piece
	}
	return info.Size()
}
