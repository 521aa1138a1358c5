package ssh

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"testing"

	"golang.org/x/crypto/ssh"
)

// silent is a connection to a server that answers no request for a session.
func silent(t *testing.T) (client *ssh.Client, asked <-chan ssh.NewChannel) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ours, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	channels := make(chan ssh.NewChannel, 1)
	go func() {
		conn, opened, requests, err := ssh.NewServerConn(theirs, config)
		served <- err
		if err != nil {
			return
		}
		go ssh.DiscardRequests(requests)
		for c := range opened {
			channels <- c
		}
		conn.Wait()
	}()
	conn, opened, requests, err := ssh.NewClientConn(ours, "", &ssh.ClientConfig{HostKeyCallback: ssh.FixedHostKey(signer.PublicKey())})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	client = ssh.NewClient(conn, opened, requests)
	t.Cleanup(func() { client.Close() })
	return client, channels
}

// A session that is asked for as its connection ends may never be answered: x/crypto/ssh tells the sessions that it
// knows of the end, and one that comes right after that only of an error when it writes, if there is one.
func TestSessionIsNotWaitedForBeyondItsConnection(t *testing.T) {
	client, asked := silent(t)
	l := &link{client: client, gone: make(chan struct{})}
	told := make(chan error, 1)
	go func() {
		_, err := l.newSession(t.Context())
		told <- err
	}()
	<-asked
	close(l.gone)
	if err := <-told; !errors.Is(err, errCut) {
		t.Errorf("newSession = %v; want %v", err, errCut)
	}
}

func TestSessionIsNotWaitedForBeyondItsContext(t *testing.T) {
	client, asked := silent(t)
	l := &link{client: client, gone: make(chan struct{})}
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	told := make(chan error, 1)
	go func() {
		_, err := l.newSession(ctx)
		told <- err
	}()
	<-asked
	cancel(interrupted)
	if err := <-told; !errors.Is(err, interrupted) {
		t.Errorf("newSession = %v; want %v", err, interrupted)
	}
}
