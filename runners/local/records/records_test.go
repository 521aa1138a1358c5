package records

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/launchplan/launch/internal/proc"
	"github.com/launchplan/launch/runners"
)

func lines(service string, names ...string) []Record {
	var all []Record
	for i, name := range names {
		all = append(all,
			Record{What: Intent, Service: service, Name: name, At: time.Now(), Begun: &Begun{Label: "x"}, Process: &proc.Identity{Boot: "b"}},
			Record{What: Start, Service: service, Name: name, At: time.Now(), Process: &proc.Identity{PID: i + 1, Start: 5, Boot: "b"}})
	}
	return all
}

func TestAppendAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	file, known, err := Open(path)
	if err != nil || len(known) != 0 {
		t.Fatalf("Open = %v, %v", known, err)
	}
	all := append(lines("a", "boot", "stop"), lines("b", "boot")...)
	all = append(all,
		Record{What: End, Service: "a", Name: "boot", Result: &runners.Result{Outcome: runners.Exited, Status: 3}, Left: true},
		Record{What: Failed, Service: "a", Name: "stop"},
		Record{What: Removed, Service: "b"})
	for _, r := range append(all, lines("a", "stop")...) {
		if err := file.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	file.Close()
	// A line that was cut short was never relied on.
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(before, `{"what":"end","serv`...), 0o600); err != nil {
		t.Fatal(err)
	}
	file, known, err = Open(path)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Errorf("after Open the file ends in %q", after[len(after)-20:])
	}
	var got []string
	for _, p := range known {
		got = append(got, fmt.Sprint(p.ID, " ", p.Process.PID, " ", p.Result != nil, " ", p.Left))
	}
	if want := "a/boot 1 true true, a/stop 1 false false"; strings.Join(got, ", ") != want {
		t.Errorf("programs = %q, want %q", got, want)
	}
}

func TestAppendConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	file, _, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for _, r := range lines(fmt.Sprint("service-", i), "boot", "stop") {
				if err := file.Append(r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if programs, err := Load(path); err != nil || len(programs) != 40 {
		t.Errorf("%d programs, %v; want 40", len(programs), err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"what":"intent","service":"a","name":"b","program":{"kind":1},"process":{"boot":"x"}}` + "\n" +
		`{"what":"start","service":"a","name":"b","process":{"pid":1,"start":2,"boot":"x"}}` + "\n" +
		`{"what":"end","service":"a","name":"b","result":{"Outcome":1}}` + "\n" + `{"what":"removed"}` + "\n{"))
	f.Add([]byte("\x00\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		programs, size, err := parse(bytes.NewReader(data))
		if err != nil {
			return
		}
		if size > int64(len(data)) {
			t.Errorf("%d bytes of %d can be relied on", size, len(data))
		}
		again, same, err := parse(bytes.NewReader(data[:size]))
		if err != nil || same != size || len(again) != len(programs) {
			t.Errorf("what can be relied on reads otherwise: %d programs, %d bytes, %v", len(again), same, err)
		}
	})
}

// TestLongestRecord writes the longest record that there can be, and reads it again.
func TestLongestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	file, _, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	service, name := strings.Repeat("s", 200), strings.Repeat("n", 200)
	begun := Begun{Label: strings.Repeat("\x01", MaxLabel), Marker: "LAUNCH_PROGRAM_ID=" + service + "/" + name, Stop: runners.Stop{Signal: "SIGTERM"}}
	r := Record{What: Intent, Service: service, Name: name, At: time.Now(), Begun: &begun, Process: &proc.Identity{Boot: "b"}}
	if err := file.Append(r); err != nil {
		t.Fatal(err)
	}
	file.Close()
	programs, err := Load(path)
	if err != nil || len(programs) != 1 || *programs[0].Begun != begun {
		t.Errorf("Load = %v, %v", programs, err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), maxLine+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "a line of more than") {
		t.Errorf("Load of an endless line: %v", err)
	}
}

// What a full disk refused is written before what comes later: a start that failed
// before the same program's next intent.
func TestOwedRecordsKeepTheirPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	file, _, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	intent := lines("a", "boot")[0]
	if err := file.Append(intent); err != nil {
		t.Fatal(err)
	}
	whole := file.file
	if file.file, err = os.Open(path); err != nil { // which takes no writes
		t.Fatal(err)
	}
	if err := file.Owe(Record{What: Failed, Service: "a", Name: "boot"}); err == nil {
		t.Error("Owe was written to a file that takes nothing")
	}
	if err := file.Append(intent); err == nil || file.Pay() {
		t.Errorf("Append = %v, and all is written, of a file that takes nothing", err)
	}
	file.file.Close()
	file.file = whole
	if err := file.Append(intent); err != nil || !file.Pay() {
		t.Errorf("Append = %v, and something is still owed", err)
	}
	programs, err := Load(path)
	if err != nil || len(programs) != 1 {
		t.Errorf("Load = %v, %v; want the program that began again", programs, err)
	}
}
