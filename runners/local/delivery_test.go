package local

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A countingWriter counts how often it is written to.
type countingWriter struct {
	bytes.Buffer
	writes int
}

func (w *countingWriter) Write(p []byte) (int, error) {
	w.writes++
	return w.Buffer.Write(p)
}

// TestDeliveryOfLateOutput: a program that is silent at first may write much later.
// It was once delivered in pieces as small as the first one, a byte at a time.
func TestDeliveryOfLateOutput(t *testing.T) {
	name := filepath.Join(t.TempDir(), "out")
	all := bytes.Repeat([]byte("x"), 10*piece)
	var to countingWriter
	d := newDelivery(name, &to)
	for _, size := range []int{0, 1, len(all)} {
		if err := os.WriteFile(name, all[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		d.more()
	}
	if err := d.rest(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(to.Bytes(), all) || to.writes > 12 {
		t.Errorf("%d bytes were delivered in %d writes, want %d in about 11", to.Len(), to.writes, len(all))
	}
}
