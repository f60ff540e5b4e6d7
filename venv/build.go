package venv

import (
	"context"
	"errors"
)

// Spec is an environment to be built.
type Spec struct {
	Hash          string // must be [HashLockfile] of Lockfile
	Lockfile      string // the text of a uv.lock
	PythonVersion string // a version or a range, as "3.12"; "" takes what the lockfile requires
}

// Build makes sure that an environment exists, and tells whether it was there
// already (cached). It builds one environment per hash at a time, however many
// ask, in this process and in others; who asks for a hash that is being built
// waits for that build, and gets its result. When ctx ends, this caller stops
// waiting; the build itself is stopped when nobody waits for it any more.
//
// Every error is a [*BuildError]. For the hash `system` nothing is built.
func (s *Store) Build(ctx context.Context, spec Spec) (Environment, bool, error) {
	environment, cached, err := s.build(ctx, spec)
	if err == nil {
		return environment, cached, nil
	}
	var failed *BuildError
	if !errors.As(err, &failed) {
		reason := reasonOf(err)
		failed = &BuildError{Op: "prepare", Reason: reason, Hint: hints[reason], Err: err}
	}
	named := *failed // others who waited for the same build hold it, too
	if checkHash(spec.Hash) == nil {
		named.Hash = spec.Hash
	}
	return Environment{}, false, &named
}

func (s *Store) build(ctx context.Context, spec Spec) (Environment, bool, error) {
	if err := checkHash(spec.Hash); err != nil {
		return Environment{}, false, err
	}
	if spec.Hash == System {
		environment, err := s.system()
		return environment, err == nil, err
	}
	if got := HashLockfile(spec.Lockfile); got != spec.Hash {
		return Environment{}, false, &MismatchError{EnvHash: spec.Hash, LockHash: got}
	}
	if spec.PythonVersion != "" && !pythonRequest.MatchString(spec.PythonVersion) {
		return Environment{}, false, &PythonVersionError{Version: spec.PythonVersion}
	}
	if environment, err := s.Lookup(spec.Hash); err == nil {
		s.touch(spec.Hash)
		return environment, true, nil
	}
	flight, err := s.join(ctx, spec)
	if err != nil {
		return Environment{}, false, err
	}
	return s.wait(ctx, flight)
}

// flight is one build and those who wait for it.
type flight struct {
	cancel  context.CancelFunc
	waiting int           // guarded by Store.mu; at 0 the build is given up
	done    chan struct{} // closed when the fields below are final

	environment Environment
	cached      bool
	err         error
}

// join boards the running build of a hash, or starts one.
func (s *Store) join(ctx context.Context, spec Spec) (*flight, error) {
	for {
		s.mu.Lock()
		running := s.flights[spec.Hash]
		if running == nil {
			running = s.start(spec)
		}
		if running.waiting >= 0 {
			running.waiting++
			s.mu.Unlock()
			return running, nil
		}
		s.mu.Unlock()
		// It was given up and is being cleared away; a new one comes after it.
		select {
		case <-running.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// givenUp marks a flight that nobody waits for any more and nobody may join.
const givenUp = -1

// start begins a build. The caller holds s.mu.
func (s *Store) start(spec Spec) *flight {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.BuildTimeout)
	begun := &flight{cancel: cancel, done: make(chan struct{})}
	s.flights[spec.Hash] = begun
	go func() {
		defer cancel()
		begun.environment, begun.cached, begun.err = s.provision(ctx, spec)
		s.mu.Lock()
		delete(s.flights, spec.Hash)
		s.mu.Unlock()
		close(begun.done)
	}()
	return begun
}

// wait waits for a build. The last one to stop waiting ends the build, and sees
// it cleared away, so that nothing runs on behind its back.
func (s *Store) wait(ctx context.Context, f *flight) (Environment, bool, error) {
	select {
	case <-f.done:
		return f.environment, f.cached, f.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last {
		f.waiting = givenUp
		f.cancel()
	}
	s.mu.Unlock()
	if last {
		<-f.done
		if f.err == nil {
			return f.environment, f.cached, nil // it was faster
		}
	}
	return Environment{}, false, context.Cause(ctx)
}
