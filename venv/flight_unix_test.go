//go:build unix

package venv

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

type built struct {
	environment Environment
	cached      bool
	err         error
}

// ask asks for an environment in the background.
func ask(ctx context.Context, s *Store, spec Spec) <-chan built {
	answer := make(chan built, 1)
	go func() {
		environment, cached, err := s.Build(ctx, spec)
		answer <- built{environment, cached, err}
	}()
	return answer
}

func await(t *testing.T, answer <-chan built) built {
	t.Helper()
	select {
	case b := <-answer:
		return b
	case <-time.After(patience):
		t.Fatal("the build never ended")
		return built{}
	}
}

func waiting(s *Store, hash string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[hash]; f != nil {
		return f.waiting
	}
	return 0
}

// eventually waits for a condition that nothing signals.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never happened: %s", what)
		}
	}
}

func TestHoweverManyAskItIsBuiltOnce(t *testing.T) {
	double := newUVDouble(t, hold("sync"))
	store := open(t, withDouble(double))
	spec := specOf(emptyLock(t, "wanted by many"))

	var answers []<-chan built
	for range 8 {
		answers = append(answers, ask(t.Context(), store, spec))
	}
	eventually(t, "all eight wait", func() bool { return waiting(store, spec.Hash) == 8 })
	double.next(t).proceed(t)

	first := await(t, answers[0])
	for _, answer := range answers[1:] {
		if got := await(t, answer); got != first {
			t.Errorf("%+v and %+v", got, first)
		}
	}
	if first.err != nil || first.cached || !first.environment.Built {
		t.Errorf("got %+v", first)
	}
	if n := double.count("sync"); n != 1 {
		t.Errorf("uv sync ran %d times", n)
	}
}

func TestBuildOutlivesOneOfItsCallers(t *testing.T) {
	double := newUVDouble(t, hold("sync"))
	store := open(t, withDouble(double))
	spec := specOf(emptyLock(t, "outlives"))

	impatient, leave := context.WithCancel(t.Context())
	first := ask(impatient, store, spec)
	call := double.next(t)
	second := ask(t.Context(), store, spec)
	eventually(t, "both wait", func() bool { return waiting(store, spec.Hash) == 2 })

	leave()
	got := await(t, first)
	var failed *BuildError
	if !errors.As(got.err, &failed) || failed.Reason != Cancelled || !errors.Is(got.err, context.Canceled) {
		t.Errorf("the one that left got %v", got.err)
	}
	call.proceed(t)
	if got := await(t, second); got.err != nil || got.cached {
		t.Errorf("the one that stayed got %+v", got)
	}
}

func TestBuildThatNobodyWaitsForIsGivenUp(t *testing.T) {
	double := newUVDouble(t, hold("sync"))
	store := open(t, withDouble(double))
	spec := specOf(emptyLock(t, "given up"))

	ctx, leave := context.WithCancel(t.Context())
	answer := ask(ctx, store, spec)
	call := double.next(t)
	leave()
	got := await(t, answer)
	var failed *BuildError
	if !errors.As(got.err, &failed) || failed.Reason != Cancelled {
		t.Errorf("got %v", got.err)
	}
	call.gone(t)
	nothingInTheMaking(t, store)

	again := ask(t.Context(), store, spec)
	double.next(t).proceed(t)
	if got := await(t, again); got.err != nil || got.cached {
		t.Errorf("asked again: %+v", got)
	}
}

func TestUVThatHangsIsKilled(t *testing.T) {
	double := newUVDouble(t, func([]string) *answer { return nil })
	spec := specOf(emptyLock(t, "hangs"))
	// On a busy machine the time may be over before uv has begun, and nothing hung: then
	// it gets more.
	for timeout := 3 * time.Second; timeout < patience; timeout *= 4 {
		store := open(t, withDouble(double), func(c *Config) { c.BuildTimeout = timeout })
		failed := refused(t, store, spec, TimedOut)
		if !errors.Is(failed, context.DeadlineExceeded) {
			t.Errorf("got %v", failed)
		}
		if call := double.within(t, timeout); call != nil {
			call.gone(t)
			return
		}
	}
	t.Error("uv was never asked")
}

// Two worker processes on one folder have a Store each.
func TestTwoWorkersBuildAHashOnce(t *testing.T) {
	double := newUVDouble(t, hold("sync"))
	spec := specOf(emptyLock(t, "two workers"))
	first := open(t, withDouble(double))

	var once sync.Once
	sawIt := make(chan struct{})
	second := open(t, withDouble(double), in(first.dir), func(c *Config) {
		c.Owner = "worker-2"
		c.Progress = func(_, line string) {
			if strings.HasPrefix(line, "another worker process builds") {
				once.Do(func() { close(sawIt) })
			}
		}
	})
	one := ask(t.Context(), first, spec)
	call := double.next(t)
	two := ask(t.Context(), second, spec)
	select {
	case <-sawIt:
	case <-time.After(patience):
		t.Fatal("the second worker does not wait for the first")
	}
	if removed, err := second.Sweep(); err != nil || len(removed) != 0 {
		t.Errorf("swept under a running build: %v, %v", removed, err)
	}
	call.proceed(t)

	if got := await(t, one); got.err != nil || got.cached || !got.environment.Built {
		t.Errorf("the first got %+v", got)
	}
	if got := await(t, two); got.err != nil || !got.cached || got.environment.Built {
		t.Errorf("the second got %+v", got)
	}
	if n := double.count("sync"); n != 1 {
		t.Errorf("uv sync ran %d times", n)
	}
	nothingInTheMaking(t, first)
}

// Another program of the field knows nothing of our locks.
func TestAnotherProgramIsFaster(t *testing.T) {
	double := newUVDouble(t, hold("sync"))
	store := open(t, withDouble(double))
	spec := specOf(emptyLock(t, "faster"))
	answer := ask(t.Context(), store, spec)
	call := double.next(t)
	folder := foreignEnvironment(t, store, spec.Hash)
	call.proceed(t)
	got := await(t, answer)
	if got.err != nil || !got.cached || got.environment.Built || got.environment.Interpreter != filepath.Join(folder, "bin", "python") {
		t.Errorf("got %+v", got)
	}
	nothingInTheMaking(t, store)
}

// A uv that ends well and installs nothing is what happens to a project that
// was written around the lock without its dependencies.
func TestBuildThatInstalledNothingIsNoBuild(t *testing.T) {
	double := newUVDouble(t, func(arguments []string) *answer {
		if arguments[0] == "sync" {
			return &answer{Print: "Checked in 0.01ms\n"}
		}
		return runRealUV
	})
	store := open(t, withDouble(double))
	says(t, refused(t, store, specOf(lockOf(t, "six", "idna")), Unimportable), "not installed", "idna, six")
}

func TestFullDisk(t *testing.T) {
	// What uv 0.13 said on a file system of 300 kB.
	lines := "Prepared 8 packages in 80ms\n" +
		"error: Failed to install: idna-3.20-py3-none-any.whl (idna==3.20)\n" +
		"  cause: Failed to copy to `/small/idna/idnadata.py`\n" +
		"  cause: failed to copy file from /cache/idna/idnadata.py to /small/idna/.tmpyONSTK: No space left on device (os error 28)\n"
	double := newUVDouble(t, func(arguments []string) *answer {
		if arguments[0] == "sync" {
			return &answer{Print: lines, Status: 1}
		}
		return runRealUV
	})
	failed := refused(t, open(t, withDouble(double)), specOf(lockOf(t, "six")), DiskFull)
	says(t, failed, "No space left on device", "make room")
	if len(failed.Tail) != 4 {
		t.Errorf("tail: %q", failed.Tail)
	}
}
