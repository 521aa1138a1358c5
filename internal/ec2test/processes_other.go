//go:build !linux

package ec2test

import (
	"os/exec"
	"strconv"
	"strings"
)

type process struct {
	pid, parent int
	line        string // its command and, where ps may tell, its environment
}

// processes lists what runs on this machine, as ps knows it.
func processes() []process {
	text, err := exec.Command("ps", "-axwwE", "-o", "pid=,ppid=,command=").Output()
	if err != nil {
		return nil // without ps nothing can be found, so nothing is ended
	}
	var out []process
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		pid, _ := strconv.Atoi(f[0])
		parent, _ := strconv.Atoi(f[1])
		out = append(out, process{pid, parent, strings.Join(f[2:], " ") + " "})
	}
	return out
}

// variable is the value of a variable in the process's environment, "" without it.
func (p process) variable(name string) string {
	_, rest, ok := strings.Cut(p.line, " "+name+"=")
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, " ")
	return value
}

func (p process) below(string) string { return "" }
