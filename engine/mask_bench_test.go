package engine

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
)

// What masking 10 MB of a program's output costs with 100 secrets, in pieces as they come.
func BenchmarkMask(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var secrets []string
	for i := range 100 {
		secrets = append(secrets, fmt.Sprintf("s3cret-%d-%x%x", i, random.Uint64(), random.Uint64()))
	}
	m := newMasker(func(n int) []string { return secrets[n:] })
	var text strings.Builder
	for text.Len() < 10<<20 {
		fmt.Fprintf(&text, "%d INFO [main] listening on 10.0.0.%d:%d path=/usr/local/lib/thing?x=%%20 {\"a\":\"b\\n\"} took %d ms\n", random.Uint32(), random.IntN(256), random.IntN(65536), random.IntN(1000))
	}
	for _, piece := range []int{100, 4 << 10, 64 << 10} {
		b.Run(fmt.Sprint(piece), func(b *testing.B) {
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				w := &maskWriter{w: io.Discard, masker: m}
				for rest := text.String(); rest != ""; {
					n := min(piece, len(rest))
					if _, err := w.Write([]byte(rest[:n])); err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
				if err := w.Flush(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
