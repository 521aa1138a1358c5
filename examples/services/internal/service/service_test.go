package service

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	t.Setenv("PROCESS_CONFIG", path)
	load := func(text string) (Config, error) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var c Config
		return c, Load(&c)
	}
	if _, err := load(`{"id": "x", "registries": ["127.0.0.1:1"]}`); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "[]", `{"registry": []}`, `{"id": 7}`, `{"id": "` + strings.Repeat("x", maxConfig) + `"}`} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

// A process that is started again in its place keeps its address, unless someone else has it now.
func TestSamePortAgain(t *testing.T) {
	t.Setenv("EPU_PROCESS_ID", "p1")
	t.Setenv("EPU_SLOT_DIR", t.TempDir())
	open := func() *Listener {
		t.Helper()
		ln, err := Config{}.Open(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		return ln
	}
	first := open()
	address := first.Addr().String()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again := open()
	if again.Addr().String() != address || again.ID != "p1" {
		t.Errorf("%s at %s, not p1 at %s", again.ID, again.Addr(), address)
	}
	other := open() // the port is taken now
	defer other.Close()
	defer again.Close()
	if _, port, _ := net.SplitHostPort(other.Addr().String()); other.Addr().String() == address || port == "0" {
		t.Errorf("two listen at %s", address)
	}
}

func TestGoodName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "web-0.1f_X": true, "": false, ".": false, "..": false, "a/b": false, "a b": false, "é": false,
		strings.Repeat("a", maxName): true, strings.Repeat("a", maxName+1): false,
	} {
		if GoodName(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}
