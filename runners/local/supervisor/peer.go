package supervisor

import (
	"fmt"
	"net"
	"os"
)

// PeerIsUs returns an error unless the other side of the connection is a process of our user.
func PeerIsUs(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var user uint32
	if cerr := raw.Control(func(fd uintptr) { user, err = peerUser(int(fd)) }); cerr != nil {
		return cerr
	}
	if err != nil {
		return fmt.Errorf("ask who the other side is: %w", err)
	}
	if int(user) != os.Geteuid() {
		return fmt.Errorf("the other side is of user %d", user)
	}
	return nil
}
