package main

import (
	"os"
	"syscall"
)

// maxRSS is the most that the process, or one that it waited for, held in memory.
func maxRSS(s *os.ProcessState) int64 { return s.SysUsage().(*syscall.Rusage).Maxrss }
