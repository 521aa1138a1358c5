package local

import (
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/launchplan/launch/runners"
)

// BenchmarkRaw is the machine's own limit: os/exec, output to nowhere.
func BenchmarkRaw(b *testing.B) {
	work := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 * runtime.NumCPU() {
		wg.Go(func() {
			for range work {
				cmd := exec.Command("/bin/true")
				cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
				if err := cmd.Run(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range b.N { // not b.Loop, which would not count the wait for the last ones
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
}

func BenchmarkDurable(b *testing.B) { benchmark(b, runners.Durable) }
func BenchmarkCheck(b *testing.B)   { benchmark(b, runners.Check) }

// benchmark asks for all programs at once, each of its own service.
func benchmark(b *testing.B, kind runners.Kind) {
	r := newRunner(b, testEnv(b))
	defer r.Close()
	h := &host{runner: r}
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range b.N {
		wg.Go(func() {
			result, err := h.Run(b.Context(), &runners.Program{
				ID:   runners.ID{Service: fmt.Sprintf("service-%d", i), Name: "boot-1"},
				Kind: kind,
				Argv: []string{"/bin/true"},
				Stop: runners.Stop{Signal: "SIGTERM"},
			})
			if err != nil || result.Outcome != runners.Exited || result.Status != 0 {
				b.Errorf("Run = %+v, %v", result, err)
			}
		})
	}
	wg.Wait()
}
