package proc

import (
	"os"
	"testing"
)

func FuzzParseStat(f *testing.F) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stat)
	f.Add([]byte("1 (a) b) c (d) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"))
	f.Add([]byte(")"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		if p, err := parseStat(7, stat); err == nil && p.PID != 7 {
			t.Errorf("parseStat = %+v", p)
		}
	})
}
