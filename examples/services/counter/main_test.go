package main

import (
	"testing"

	"github.com/launchplan/launch/examples/services/internal/service"
)

func TestCount(t *testing.T) {
	got := countOf(service.Values{Values: map[string]service.Value{"a": {Text: "two words"}, "b": {Text: " one\n"}, "c": {}}})
	if got != (Count{Notes: 3, Words: 3}) {
		t.Errorf("it counts %+v", got)
	}
}
