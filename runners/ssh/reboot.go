package ssh

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// standardReboot is used where the plan has no reboot_command.
const standardReboot = `if [ "$(id -u)" = 0 ]; then reboot; else sudo -n reboot; fi`

// Bounds on a reboot. A host that did not hang up by then did not go down.
const downPatience = 2 * time.Minute

// Reboot carries out the reboot command, waits for the host to go away and to
// come back. With the standard command it must have another boot id then; what
// the plan's own command does (restart a container, only its sshd) is the
// operator's business, so there the hung-up connection is enough.
func (h *host) Reboot(ctx context.Context) error {
	m := h.m
	l, err := m.back(ctx)
	if err != nil {
		return m.explain(ctx, err)
	}
	m.mu.Lock()
	before := m.boot
	m.mu.Unlock()
	command := orElse(m.r.config.RebootCommand, standardReboot)
	ans, err := l.do(ctx, "", ask("restart", command))
	if err != nil && !errors.Is(err, errCut) {
		return fmt.Errorf("reboot %s: %w", m.end, m.explain(ctx, err))
	}
	if err == nil && !ans.is("ok") {
		return fmt.Errorf("reboot %s: %q failed there: %s. Say with reboot_command how user %s can reboot it", m.end, command, orElse(printable(string(ans.data)), "it said nothing"), m.end.User)
	}
	down := time.NewTimer(downPatience)
	defer down.Stop()
	for {
		select {
		case <-l.gone:
		case <-down.C:
			return fmt.Errorf("reboot %s: it is still up %s after its command (%s)", m.end, downPatience, command)
		case <-ctx.Done():
			return fmt.Errorf("reboot %s: %w", m.end, context.Cause(ctx))
		}
		if err := m.reach(ctx, ""); err != nil {
			return fmt.Errorf("wait for %s to come back: %w", m.end, err)
		}
		m.mu.Lock()
		again, now := m.link, m.boot
		m.mu.Unlock()
		if m.r.config.RebootCommand != "" || now != before || now == "-" {
			return nil
		}
		l = again // it hung up, but is going down still
	}
}
