package plan

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// One block with many instances, whose programs and probes differ from instance to instance.
func manyInstances(n int) string {
	return fmt.Sprintf(`
level "base" {
  service "node" {
    count = %d
    boot {
      command = ["true", "--index", count.index]
      env     = { NAME = "node-${count.index}" }
      timeout = "5m"
    }
    attributes = { port = 9000 + count.index }
    exports    = { url = string }
    ready { tcp = "${self.address}:${self.port}" }
  }
}
level "next" {
  service "client" {
    count = %d
    boot { command = ["true", service.node[count.index].url] }
    ready {
      http { url = "http://${self.address}/" }
    }
  }
}
`, n/2, n/2)
}

// A hundred levels with their services written out, each referring to one of the level before.
func manyBlocks(n int) string {
	var b strings.Builder
	b.WriteString("locals {\n  mode = \"fast\"\n}\n")
	for level := range 100 {
		fmt.Fprintf(&b, "level \"l%d\" {\n", level)
		for i := range n / 100 {
			before := `"first"`
			if level > 0 {
				before = fmt.Sprintf("service.s%d_%d.url", level-1, i)
			}
			fmt.Fprintf(&b, `  service "s%d_%d" {
    boot {
      command = ["true", %s]
      env     = { MODE = local.mode }
    }
    exports = { url = string }
    ready { tcp = "${self.address}:80" }
  }
`, level, i, before)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

func benchmarkValidate(b *testing.B, source string, n int) {
	files := []SnapshotFile{{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(source)}}
	b.SetBytes(int64(len(source)))
	var tree *Tree
	before := cpuTime(b)
	for b.Loop() {
		p, diags := Load("/plans/main", testOptions(files))
		if diags.HasErrors() {
			b.Fatal(diags)
		}
		tree, diags = p.Expand(Inputs{})
		if diags.HasErrors() {
			b.Fatal(diags)
		}
	}
	if len(tree.Services) != n {
		b.Fatal(len(tree.Services))
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/service")
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N)/float64(n), "cpu-ns/service")
	b.StopTimer()
	held := heap()
	p, _ := Load("/plans/main", testOptions(files))
	tree, _ = p.Expand(Inputs{})
	b.ReportMetric(float64(heap()-held)/float64(n), "B/service")
	runtime.KeepAlive(tree)
}

// cpuTime is what this process has used of all processors: on a busy machine it says more than the clock.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkValidate(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("instances-%d", n), func(b *testing.B) { benchmarkValidate(b, manyInstances(n), n) })
		b.Run(fmt.Sprintf("blocks-%d", n), func(b *testing.B) { benchmarkValidate(b, manyBlocks(n), n) })
	}
}

func BenchmarkPrepare(b *testing.B) {
	files := []SnapshotFile{{Dir: "/plans/main", Path: "plan.hcl", Mode: 0o644, Content: []byte(manyInstances(10_000))}}
	p, _ := Load("/plans/main", testOptions(files))
	tree, diags := p.Expand(Inputs{})
	if diags.HasErrors() {
		b.Fatal(diags)
	}
	for _, s := range tree.Services {
		exports, _, err := s.ParseExports([]byte(`{"url": "http://x"}`))
		if err != nil {
			b.Fatal(err)
		}
		tree.Learn(s, Known{Address: "10.0.0.1", WorkDir: "/tmp/x", Exports: exports})
	}
	i := 0
	for b.Loop() {
		s := tree.Services[i%len(tree.Services)]
		i++
		if _, diags := s.Prepare(); diags.HasErrors() {
			b.Fatal(diags)
		}
	}
}
