package state

import (
	"encoding/json"
	"fmt"
	"time"
)

// timeLayout is fixed in width, so that times sort as text.
const timeLayout = "2006-01-02T15:04:05.000000Z"

func timeText(t time.Time) string { return t.UTC().Format(timeLayout) }

// sinceText is the column value of a time that is the event's own where it is not given.
func sinceText(since, at time.Time) string {
	if since.IsZero() {
		since = at
	}
	return timeText(since)
}

// A clock scans a time column.
type clock struct{ t *time.Time }

// Scan implements sql.Scanner.
func (c clock) Scan(value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("%T in place of a time", value)
	}
	t, err := time.Parse(timeLayout, text)
	if err != nil {
		return fmt.Errorf("%q in place of a time", text)
	}
	*c.t = t
	return nil
}

// jsonText is the column value of JSON: text, so that a sqlite3 shell shows it and json_extract reads it.
func jsonText(data []byte) any {
	if data == nil {
		return nil
	}
	return string(data)
}

// namesText is the column value of a list of names.
func namesText(names []string) any {
	if names == nil {
		return nil
	}
	text, err := json.Marshal(names)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(text)
}

// names scans a list of names.
type names struct{ list *[]string }

// Scan implements sql.Scanner.
func (n names) Scan(value any) error {
	switch value := value.(type) {
	case nil:
		return nil
	case string:
		if err := json.Unmarshal([]byte(value), n.list); err != nil {
			return fmt.Errorf("%q in place of a list of names", value)
		}
		return nil
	}
	return fmt.Errorf("%T in place of a list of names", value)
}
