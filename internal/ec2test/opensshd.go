package ec2test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// FindSSHD returns the path of OpenSSH's sshd, "" where it is not installed.
func FindSSHD() string {
	for _, name := range []string{"sshd", "/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if path, err := exec.LookPath(name); err == nil {
			if path, err = filepath.Abs(path); err == nil {
				return path
			}
		}
	}
	return ""
}

// sshdStart bounds how long an sshd may take until it answers.
const sshdStart = 20 * time.Second

// startOpenSSH runs a real sshd for the machine. A session's home is the
// machine's, not the user's own.
func (m *machine) startOpenSSH(ctx context.Context) (down func(), err error) {
	path := FindSSHD()
	if path == "" {
		return nil, fmt.Errorf("there is no sshd on this machine")
	}
	if os.Geteuid() == 0 {
		// Its privilege separation directory, which a package's service makes.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return nil, err
		}
	}
	etc := filepath.Join(m.dir, "etc", "ssh")
	if err := os.MkdirAll(etc, 0o700); err != nil {
		return nil, err
	}
	var authorized strings.Builder
	for _, k := range m.authorized {
		fmt.Fprintln(&authorized, trimmedKey(k))
	}
	config := fmt.Sprintf(`HostKey %[1]s/host_key
AuthorizedKeysFile %[1]s/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
MaxStartups 200
UseDNS no
LogLevel ERROR
SetEnv HOME=%[2]s %[3]s=%[4]s
ForceCommand cd "$HOME" && if [ -n "$SSH_ORIGINAL_COMMAND" ]; then exec /bin/sh -c "$SSH_ORIGINAL_COMMAND"; else exec /bin/sh -i; fi
`, etc, m.home(), marker, m.id)
	for _, a := range m.addresses {
		config += "ListenAddress " + a + "\n"
	}
	for name, content := range map[string]string{"host_key": string(m.hostPEM), "authorized_keys": authorized.String(), "sshd_config": config} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	cmd := m.command(path, "-D", "-e", "-f", filepath.Join(etc, "sshd_config"))
	cmd.Stdout, cmd.Stderr = &m.console, &m.console
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { // down waits for it
		cmd.Wait()
		close(ended)
	}()
	down = func() {
		m.reaper.endTree(cmd.Process.Pid)
		<-ended
	}
	if err := answering(ctx, m.addresses[0], ended); err != nil {
		down()
		return nil, err
	}
	return down, nil
}

// answering waits until something accepts connections at an address.
func answering(ctx context.Context, address string, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, sshdStart)
	defer cancel()
	for {
		var d net.Dialer
		if c, err := d.DialContext(ctx, "tcp", address); err == nil {
			return c.Close()
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ended:
			return fmt.Errorf("sshd ended at once; see the console output")
		case <-ctx.Done():
			return fmt.Errorf("wait for sshd at %s: %w", address, ctx.Err())
		}
	}
}
