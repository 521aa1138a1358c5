// Roundtrip checks the notes from end to end: it writes one through a web server, and reads it
// back through every one.
//
//	NOTES_TOKEN=TOKEN roundtrip URL...
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/launchplan/launch/examples/services/internal/service"
)

func main() {
	service.Main("roundtrip", func(ctx context.Context) error {
		return check(ctx, os.Args[1:], os.Getenv("NOTES_TOKEN"))
	})
}

type note struct {
	Text string `json:"text"`
}

// path is of the one note that all checks share, so that checking leaves no litter.
const path = "/notes/roundtrip"

func check(ctx context.Context, webs []string, token string) error {
	if len(webs) == 0 {
		return errors.New("give the URLs of the web servers")
	}
	sent := note{"checked, with " + rand.Text()}
	if err := service.Ask(ctx, http.MethodPut, webs[0]+path, token, sent, nil); err != nil {
		return fmt.Errorf("write through %s: %w", webs[0], err)
	}
	for _, web := range webs {
		var got note
		if err := service.Ask(ctx, http.MethodGet, web+path, "", nil, &got); err != nil {
			return fmt.Errorf("read through %s: %w", web, err)
		}
		if got != sent {
			return fmt.Errorf("%q was written through %s, %s has %q", sent.Text, webs[0], web, got.Text)
		}
	}
	fmt.Printf("written through %s, read through %d web servers\n", webs[0], len(webs))
	return nil
}
