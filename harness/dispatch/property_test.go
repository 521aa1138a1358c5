package dispatch_test

import (
	"os"
	"testing"
)

// TestProperties plays random deployments with two dispatchers that both may believe
// that they lead, agents that die and come back, and a network that loses, repeats,
// delays and reorders. What must hold at every moment is checked at every write and
// every start of a process; what must hold in the end, once the world is kind again.
func TestProperties(t *testing.T) {
	seeds := 120
	if testing.Short() {
		seeds = 50
	}
	if os.Getenv("LAUNCH_LONG") != "" {
		seeds = 20000
	}
	for seed := range seeds {
		w := newWorld(uint64(seed))
		w.play(600)
		w.settle()
		if w.failure != "" {
			t.Fatalf("seed %d: %s\n%s", seed, w.failure, w.tail())
		}
	}
}

// FuzzProperties lets the fuzzer look for a seed that breaks something.
func FuzzProperties(f *testing.F) {
	f.Add(uint64(1), uint16(300))
	f.Fuzz(func(t *testing.T, seed uint64, steps uint16) {
		w := newWorld(seed)
		w.play(int(steps % 2000))
		w.settle()
		if w.failure != "" {
			t.Fatalf("%s\n%s", w.failure, w.tail())
		}
	})
}
