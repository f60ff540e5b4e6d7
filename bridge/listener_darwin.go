package bridge

import "golang.org/x/sys/unix"

// solLocal is SOL_LOCAL in sys/un.h.
const solLocal = 0

func peerCredentials(fd int) (uid uint32, pid int, err error) {
	credentials, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, err
	}
	pid, err = unix.GetsockoptInt(fd, solLocal, unix.LOCAL_PEERPID)
	if err != nil {
		return 0, 0, err
	}
	return credentials.Uid, pid, nil
}
