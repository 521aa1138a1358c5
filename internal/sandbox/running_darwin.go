package sandbox

import (
	"os/exec"
	"strconv"
	"strings"
)

// running finds the processes with an entry in their environment, which ps -E shows after the command.
func running(entry string) []process {
	out, err := exec.Command("ps", "-A", "-E", "-ww", "-o", "pid=,command=").Output()
	if err != nil {
		return nil
	}
	var found []process
	for line := range strings.Lines(string(out)) {
		first, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, err := strconv.Atoi(first)
		if err == nil && strings.Contains(command, entry) {
			found = append(found, process{pid, command})
		}
	}
	return found
}
