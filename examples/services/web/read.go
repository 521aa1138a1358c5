package main

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/launchplan/launch/examples/services/internal/service"
)

// now is the version of what is written now: of two writes, the later one holds.
func now() int64 { return time.Now().UnixNano() }

// newest asks all the stores for a value; the newest one holds.
func (s *web) newest(ctx context.Context, key string) (newest service.Value, found bool, err error) {
	var mu sync.Mutex
	err = s.onEnough(ctx, func(ctx context.Context, store string) error {
		var v service.Value
		err := service.Ask(ctx, http.MethodGet, store+"/values/"+key, "", nil, &v)
		if errors.Is(err, service.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		if !found || v.Newer(newest) {
			newest, found = v, true
		}
		return nil
	})
	return newest, found, err
}

// all merges what the stores have.
func (s *web) all(ctx context.Context) (map[string]service.Value, error) {
	var mu sync.Mutex
	merged := map[string]service.Value{}
	err := s.onEnough(ctx, func(ctx context.Context, store string) error {
		var have service.Values
		if err := service.Ask(ctx, http.MethodGet, store+"/values", "", nil, &have); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		for k, v := range have.Values {
			if old, known := merged[k]; !known || v.Newer(old) {
				merged[k] = v
			}
		}
		return nil
	})
	return merged, err
}
