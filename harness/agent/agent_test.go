package agent

import (
	"log/slog"
	"testing"
	"time"

	"github.com/launchplan/launch/harness/wire"
)

// An agent that is refused goes on asking, as often as one that nobody answers.
func TestRefusedAgentAsksLessOften(t *testing.T) {
	a := &Agent{
		Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), table: NewTable(1, 4),
		hello: helloFirst, welcome: &wire.Welcome{Refused: "engine fast is not defined"},
	}
	for range 10 {
		a.sent = time.Time{}
		a.beat(&liveSet{})
	}
	if a.period() != helloLast {
		t.Errorf("it asks every %v, not every %v", a.period(), helloLast)
	}
}
