package ec2test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

type process struct {
	pid, parent int
}

// processes lists what runs on this machine.
func processes() []process {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil // only for a bad pattern
	}
	var out []process
	for _, name := range names {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
		// pid (name) state parent …; the name may hold spaces and brackets.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		out = append(out, process{pid, parent})
	}
	return out
}

// variable is the value of a variable in the process's environment, "" without it.
func (p process) variable(name string) string {
	environ, err := os.ReadFile("/proc/" + strconv.Itoa(p.pid) + "/environ")
	if err != nil {
		return ""
	}
	_, rest, ok := bytes.Cut(append([]byte{0}, environ...), []byte("\x00"+name+"="))
	if !ok {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte{0})
	return string(value)
}

// below is the first part of the path of its working directory below root.
func (p process) below(root string) string {
	cwd, err := os.Readlink("/proc/" + strconv.Itoa(p.pid) + "/cwd")
	rest, ok := strings.CutPrefix(cwd, root+"/")
	if err != nil || !ok {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}
