package venv

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"time"
)

// outputWait bounds the wait for the end of the output once a program has
// ended: a process that it left behind may hold the pipe open.
const outputWait = 3 * time.Second

// run runs a command to its end, in a process group of its own, that is killed
// as a whole when ctx ends. It leaves no process behind when it returns.
func run(ctx context.Context, command *exec.Cmd) error {
	// On Linux the child is told to die with the thread that started it (see
	// dieWithParent), so that thread has to stay until the child is gone.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	group := newGroup(command)
	command.WaitDelay = outputWait
	if err := command.Start(); err != nil {
		return err
	}
	if err := group.started(); err != nil {
		_ = command.Process.Kill()
		_ = command.Wait()
		return err
	}
	defer group.close()

	ended := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
			group.kill()
		case <-ended:
		}
	}()
	err := command.Wait()
	close(ended)
	<-watched
	// What the command left behind in its group goes, too. The number cannot mean
	// another group yet: as long as a process is left it is not given again, and
	// afterwards not before all other numbers were.
	group.kill()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the command ended well, and something it left held its output open
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
