package bridge

import (
	"os/exec"
	"runtime"
)

// launcher starts all guests of a host from one operating system thread that
// lives as long as the host. On Linux a guest is killed when the thread that
// forked it ends (PR_SET_PDEATHSIG, prctl(2)), and Go may end a thread whenever
// a goroutine that had locked it returns: so this one is nobody else's.
type launcher struct {
	requests chan launch
	done     chan struct{}
}

type launch struct {
	cmd    *exec.Cmd
	result chan error
}

func newLauncher() *launcher {
	l := &launcher{requests: make(chan launch), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for request := range l.requests {
			request.result <- request.cmd.Start()
		}
	}()
	return l
}

func (l *launcher) start(cmd *exec.Cmd) error {
	result := make(chan error, 1)
	l.requests <- launch{cmd: cmd, result: result}
	return <-result
}

// close ends the thread, and with it every guest that is still alive on Linux.
func (l *launcher) close() {
	close(l.requests)
	<-l.done
}
