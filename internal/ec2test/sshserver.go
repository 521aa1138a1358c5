package ec2test

import (
	"bytes"
	"crypto"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// maxSessions is OpenSSH's default for sessions of one connection at a time.
const maxSessions = 10

func marshalPrivate(key crypto.PrivateKey) ([]byte, error) {
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(block), nil
}

func trimmedKey(k ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
}

// command prepares a program on the machine, in a session of its own as a
// login's is.
func (m *machine) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = m.environment(), m.home()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// serveSSH answers on the machine's addresses until down is called, which
// drops the connections; the programs stay.
func (m *machine) serveSSH() (down func(), err error) {
	config := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-OpenSSH_9.2p1",
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			for _, k := range m.authorized {
				if bytes.Equal(k.Marshal(), key.Marshal()) {
					return nil, nil
				}
			}
			return nil, errors.New("not an authorized key")
		},
	}
	config.AddHostKey(m.hostKey)
	var (
		listeners []net.Listener
		served    sync.WaitGroup
		mu        sync.Mutex
		conns     = map[net.Conn]struct{}{} // nil once it is down
	)
	down = func() {
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		conns = nil
		mu.Unlock()
		for _, l := range listeners {
			l.Close()
		}
		served.Wait()
	}
	for _, address := range m.addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			down()
			return nil, err
		}
		listeners = append(listeners, l)
		served.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				mu.Lock()
				if conns == nil {
					mu.Unlock()
					c.Close()
					return
				}
				conns[c] = struct{}{}
				mu.Unlock()
				served.Go(func() {
					m.serveConn(c, config)
					c.Close()
					mu.Lock()
					delete(conns, c)
					mu.Unlock()
				})
			}
		})
	}
	return down, nil
}

func (m *machine) serveConn(c net.Conn, config *ssh.ServerConfig) {
	conn, channels, requests, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	m.login()
	var inside sync.WaitGroup
	defer inside.Wait()
	defer conn.Close()
	inside.Go(func() { ssh.DiscardRequests(requests) }) // answers keepalives
	slots := make(chan struct{}, maxSessions)
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			select {
			case slots <- struct{}{}:
			default:
				ch.Reject(ssh.ResourceShortage, "open failed")
				continue
			}
			inside.Go(func() {
				m.serveSession(ch)
				<-slots
			})
		case "direct-tcpip":
			inside.Go(func() { forward(ch) })
		default:
			ch.Reject(ssh.UnknownChannelType, "unknown channel type")
		}
	}
}

// forward connects a channel with an address, as seen from the machine.
func forward(ch ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(ch.ExtraData(), &to); err != nil {
		ch.Reject(ssh.ConnectionFailed, "bad request")
		return
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		ch.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer conn.Close()
	c, requests, err := ch.Accept()
	if err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { ssh.DiscardRequests(requests) })
	both.Go(func() {
		io.Copy(conn, c)
		conn.(*net.TCPConn).CloseWrite()
	})
	io.Copy(c, conn)
	c.Close()
	both.Wait()
}

// serveSession runs the one program of a session.
func (m *machine) serveSession(nc ssh.NewChannel) {
	ch, requests, err := nc.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	var env []string
	var cmd *exec.Cmd
	ended := make(chan struct{})
	for {
		select {
		case <-ended:
			return
		case r, ok := <-requests:
			if !ok {
				// The client is gone. As under sshd, its program is not.
				return
			}
			switch r.Type {
			case "env":
				var kv struct{ Name, Value string }
				if ssh.Unmarshal(r.Payload, &kv) == nil && strings.HasPrefix(kv.Name, "LC_") {
					env = append(env, kv.Name+"="+kv.Value)
				}
				r.Reply(true, nil)
			case "pty-req":
				r.Reply(true, nil) // taken, though there is none: programs see a pipe
			case "exec", "shell":
				var line struct{ Command string }
				if cmd != nil || r.Type == "exec" && ssh.Unmarshal(r.Payload, &line) != nil {
					r.Reply(false, nil)
					continue
				}
				cmd = m.command("/bin/sh")
				if r.Type == "exec" {
					cmd = m.command("/bin/sh", "-c", line.Command)
				}
				cmd.Env = append(cmd.Env, env...)
				finish, err := startOn(ch, cmd)
				r.Reply(err == nil, nil)
				if err != nil {
					return
				}
				go func() { // ends with the program's output; the channel is closed then
					defer close(ended)
					finish()
				}()
			case "signal":
				var sig struct{ Name string }
				if cmd != nil && ssh.Unmarshal(r.Payload, &sig) == nil {
					if n, ok := signals[sig.Name]; ok {
						syscall.Kill(-cmd.Process.Pid, n)
					}
				}
			default:
				r.Reply(false, nil)
			}
		}
	}
}

var signals = map[string]syscall.Signal{
	"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "QUIT": syscall.SIGQUIT,
}

// startOn starts a program on a channel. finish reports its exit status as soon
// as it has ended, and returns when nobody holds its output any more, which is
// when sshd closes the channel.
func startOn(ch ssh.Channel, cmd *exec.Cmd) (finish func(), err error) {
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		outR.Close()
		outW.Close()
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = outW, errW
	err = cmd.Start()
	outW.Close()
	errW.Close()
	if err != nil {
		outR.Close()
		errR.Close()
		return nil, err
	}
	go func() { // ends with the channel, which serveSession closes
		io.Copy(stdin, ch)
		stdin.Close()
	}()
	return func() {
		var output sync.WaitGroup
		output.Go(func() { copyOut(ch, outR) })
		output.Go(func() { copyOut(ch.Stderr(), errR) })
		cmd.Wait()
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Name       string
				CoreDumped bool
				Message    string
				Lang       string
			}{signalName(ws.Signal()), false, "", ""}))
		} else {
			ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(cmd.ProcessState.ExitCode())}))
		}
		output.Wait()
		ch.CloseWrite()
	}, nil
}

// copyOut goes on reading where nobody listens any more: a program must not
// die of SIGPIPE because its client went away before sshd would notice.
func copyOut(w io.Writer, r *os.File) {
	defer r.Close()
	if _, err := io.Copy(w, r); err != nil {
		io.Copy(io.Discard, r)
	}
}

func signalName(s syscall.Signal) string {
	for name, n := range signals {
		if n == s {
			return name
		}
	}
	return "USR1"
}
