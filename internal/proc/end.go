package proc

import (
	"context"
	"encoding/json"
	"os"
	"syscall"
	"time"
)

// End asks the very process to end, and kills it where it has not within its grace time.
func (id Identity) End(ctx context.Context, grace time.Duration) {
	id.Signal(syscall.SIGTERM)
	id.Signal(syscall.SIGCONT) // one that is frozen would not take the other
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if id.Alive() && id.Wait(ctx) != nil {
		id.Signal(syscall.SIGKILL)
	}
}

// WriteOwn leaves this process's identity in a file.
func WriteOwn(path string) error {
	data, err := json.Marshal(Identify(os.Getpid()))
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// Read returns the identity that a process left in a file.
func Read(path string) (id Identity, ok bool) {
	data, err := os.ReadFile(path)
	return id, err == nil && json.Unmarshal(data, &id) == nil
}
