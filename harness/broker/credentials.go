// Package broker connects to the NATS broker, and is one: it starts an embedded
// server with JetStream, and makes and reads the credentials for it.
package broker

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
)

// Credentials are how a client says who it is. In their file they are the JSON
// object {"user": "…", "password": "…"} or {"token": "…"}. A NATS .creds file
// (a JWT with its seed) is understood, too.
type Credentials struct {
	User     string `json:"user,omitempty"`
	Password string `json:"password,omitempty"`
	Token    string `json:"token,omitempty"`

	credsFile string
}

// maxCredentials bounds a credentials file.
const maxCredentials = 64 << 10

// NewCredentials makes up a user with a random password.
func NewCredentials() Credentials {
	secret := make([]byte, 32)
	rand.Read(secret)
	return Credentials{User: "epu", Password: base64.RawURLEncoding.EncodeToString(secret)}
}

// Save writes the credentials where only the user can read them.
func (c Credentials) Save(path string) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(path), ".credentials-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(next.Name())
	_, err = next.Write(append(data, '\n'))
	if err = errors.Join(err, next.Close()); err != nil {
		return fmt.Errorf("write credentials: %w", err)
	}
	return os.Rename(next.Name(), path)
}

// LoadCredentials reads a credentials file, which nobody else may be able to read.
func LoadCredentials(path string) (Credentials, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Credentials{}, fmt.Errorf("credentials file %s does not exist", path)
	}
	if err != nil {
		return Credentials{}, fmt.Errorf("read credentials: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Credentials{}, fmt.Errorf("read credentials: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Credentials{}, fmt.Errorf("credentials file %s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return Credentials{}, fmt.Errorf("credentials file %s can be read by others: chmod 600 %s", path, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxCredentials))
	if err != nil {
		return Credentials{}, fmt.Errorf("read credentials: %w", err)
	}
	c, err := parseCredentials(data)
	if err != nil {
		return Credentials{}, fmt.Errorf("credentials file %s: %w", path, err)
	}
	if c.credsFile != "" {
		c.credsFile = path
	}
	return c, nil
}

func parseCredentials(data []byte) (Credentials, error) {
	if bytes.Contains(data, []byte("-----BEGIN NATS USER JWT-----")) {
		return Credentials{credsFile: "yes"}, nil
	}
	var c Credentials
	// The decoder's own words could quote the secret.
	if json.Unmarshal(data, &c) != nil {
		return Credentials{}, errors.New(`neither a JSON object {"user": …, "password": …} nor a NATS .creds file`)
	}
	if (c.User == "" || c.Password == "") && c.Token == "" {
		return Credentials{}, errors.New("it has neither user and password nor a token")
	}
	return c, nil
}

func (c Credentials) option() nats.Option {
	switch {
	case c.credsFile != "":
		return nats.UserCredentials(c.credsFile)
	case c.Token != "":
		return nats.Token(c.Token)
	}
	return nats.UserInfo(c.User, c.Password)
}
