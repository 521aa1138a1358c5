package ssh

import (
	"fmt"
	"testing"

	"github.com/launchplan/launch/internal/sshtest"
	"github.com/launchplan/launch/runners"
)

func BenchmarkRun(b *testing.B) {
	s := sshtest.Start(b, sshtest.Options{})
	h := connect(b, s, envFor(b), "127.0.0.1")
	n := 0
	for b.Loop() {
		n++
		res, err := h.Run(b.Context(), &runners.Program{
			ID: runners.ID{Service: "bench", Name: fmt.Sprint(n)}, Kind: runners.Check, Argv: []string{"true"},
		})
		if err != nil || res.Outcome != runners.Exited {
			b.Fatal(res, err)
		}
	}
}
