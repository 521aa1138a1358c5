package main

import (
	"fmt"
	"maps"
	"runtime"
	"strings"
	"testing"
)

func TestParseBenchmarks(t *testing.T) {
	out := strings.ReplaceAll("goos: linux\nBenchmarkValidate/instances-10000-2   3  42 ns/op  7.5 ns/service\nBenchmarkDispatch-2 1 9 ns/op 0.7 ratio\nok\n", "-2 ", fmt.Sprintf("-%d ", runtime.GOMAXPROCS(0)))
	got := parseBenchmarks(out)
	want := map[string]float64{
		"Validate/instances-10000 ns/op": 42, "Validate/instances-10000 ns/service": 7.5,
		"Dispatch ns/op": 9, "Dispatch ratio": 0.7,
	}
	if !maps.Equal(got, want) {
		t.Errorf("figures = %v, want %v", got, want)
	}
}
