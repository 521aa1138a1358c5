package state

import (
	"os"
	"regexp"
	"testing"
)

// The queries that docs/state.md shows work.
func TestDocumentedQueries(t *testing.T) {
	page, err := os.ReadFile("../docs/state.md")
	if err != nil {
		t.Fatal(err)
	}
	db := openStore(t)
	create1(t, db, 3)
	queries := regexp.MustCompile(`(?m)^    SELECT (?:.|\n)*?;$`).FindAllString(string(page), -1)
	if len(queries) < 5 {
		t.Fatalf("found %d queries", len(queries))
	}
	for _, query := range queries {
		rows, err := db.sql.Query(query)
		if err != nil {
			t.Errorf("%v in\n%s", err, query)
			continue
		}
		rows.Close()
	}
}
