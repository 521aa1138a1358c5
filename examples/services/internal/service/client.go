package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	askTimeout = 3 * time.Second // for an answer that nobody holds back
	maxAnswer  = 32 << 20
)

// ErrNotFound is the answer to a question for what is not there.
var ErrNotFound = errors.New("not found")

// Ask sends a JSON body (nil: none) and reads a JSON answer (nil: none wanted).
func Ask(ctx context.Context, method, url, token string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return ask(ctx, method, url, token, body, answer)
}

// Follow asks for what is newer than a known revision; the answer may be held back.
func Follow(ctx context.Context, url string, known uint64, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, LongPoll+askTimeout)
	defer cancel()
	return ask(ctx, http.MethodGet, fmt.Sprintf("%s?known=%d", url, known), "", nil, answer)
}

func ask(ctx context.Context, method, url, token string, body, answer any) error {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("%s %s: read the answer: %w", method, url, err)
	case resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("%s %s: %w", method, url, ErrNotFound)
	case resp.StatusCode/100 != 2:
		return fmt.Errorf("%s %s: the answer is %s: %.200s", method, url, resp.Status, bytes.TrimSpace(data))
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("%s %s: the answer is no JSON of ours: %w", method, url, err)
	}
	return nil
}
