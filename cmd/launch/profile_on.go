//go:build profile

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"
)

// profile keeps where this process's time and memory go, in the folder that LAUNCH_PROFILE names, until the function
// that it returns is called. Only binaries built with `-tags profile` do it: docs/performance.md.
func profile(name string) func() {
	dir := os.Getenv("LAUNCH_PROFILE")
	if dir == "" {
		return func() {}
	}
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.Setenv("LAUNCH_PROFILE", dir) // for the supervisor, which works elsewhere
	}
	if err != nil {
		panic(err) // a build for measuring: nothing to be gentle about
	}
	file := func(kind string) *os.File {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.%s", name, os.Getpid(), kind)))
		if err != nil {
			panic(err)
		}
		return f
	}
	runtime.SetBlockProfileRate(100_000)
	runtime.MemProfileRate = 16 << 10
	cpu := file("cpu")
	if err := pprof.StartCPUProfile(cpu); err != nil {
		panic(err)
	}
	return func() {
		pprof.StopCPUProfile()
		cpu.Close()
		for _, kind := range []string{"allocs", "block"} {
			f := file(kind)
			pprof.Lookup(kind).WriteTo(f, 0)
			f.Close()
		}
		usage := file("usage")
		fmt.Fprintf(usage, "own %v\nprograms %v\n", cpuTime(syscall.RUSAGE_SELF), cpuTime(syscall.RUSAGE_CHILDREN))
		usage.Close()
	}
}

func cpuTime(who int) string {
	var r syscall.Rusage
	if err := syscall.Getrusage(who, &r); err != nil {
		panic(err)
	}
	return fmt.Sprintf("user %v system %v", time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano()))
}
