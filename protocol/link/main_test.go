package link

import (
	"fmt"
	"net"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain sees to it that the tests leave no goroutine and no descriptor.
func TestMain(m *testing.M) {
	warmUp()
	before := descriptors()
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		if after := descriptors(); len(after) > len(before) {
			fmt.Fprintf(os.Stderr, "descriptors before: %v\nafter: %v\n", before, after)
			code = 1
		}
	}
	os.Exit(code)
}

// warmUp makes the runtime open the descriptors that it keeps.
func warmUp() {
	if listener, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		listener.Close()
	}
}

// descriptors names the open ones, where the system shows them in a folder.
func descriptors() []string {
	var open []string
	for _, folder := range []string{"/proc/self/fd", "/dev/fd"} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			target, _ := os.Readlink(folder + "/" + entry.Name())
			open = append(open, entry.Name()+" "+target)
		}
		return open
	}
	return open
}
