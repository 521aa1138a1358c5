package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/launchplan/launch/harness/broker"
	"github.com/launchplan/launch/harness/wire"
)

// Upload puts a file into the object store, under its hash, and returns how a
// definition names it. What cannot be such a file is a *wire.Error.
func (c *Client) Upload(ctx context.Context, path, as string) (wire.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return wire.File{}, &wire.Error{Code: wire.CodeInvalid, Message: fmt.Sprintf("upload a file: %v", err)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return wire.File{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > wire.MaxFileSize {
		return wire.File{}, &wire.Error{Code: wire.CodeInvalid, Message: fmt.Sprintf("%s is not a regular file of at most %d MiB", path, wire.MaxFileSize>>20)}
	}
	sum := sha256.New()
	size, err := io.Copy(sum, f)
	if err != nil {
		return wire.File{}, fmt.Errorf("read %s: %w", path, err)
	}
	file := wire.File{Path: as, SHA256: hex.EncodeToString(sum.Sum(nil)), Size: size, Executable: info.Mode()&0o111 != 0}
	b, err := broker.Open(ctx, c.conn)
	if err != nil {
		return wire.File{}, err
	}
	if have, err := b.Files.GetInfo(ctx, file.SHA256); err == nil && have.Size == uint64(size) {
		return file, nil
	} else if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return wire.File{}, fmt.Errorf("upload %s: %w", path, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return wire.File{}, err
	}
	if _, err := b.Files.Put(ctx, jetstream.ObjectMeta{Name: file.SHA256}, f); err != nil {
		return wire.File{}, fmt.Errorf("upload %s: %w", path, err)
	}
	return file, nil
}
