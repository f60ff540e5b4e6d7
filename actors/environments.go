package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/venv"
)

// Environments is the environment builder.
//
// Owns: the environments on disk and the builds under way.
// Receives: wishes from the coordinator, one in hand for each env_hash.
// Emits: for each wish one environmentAnswer.
type Environments struct {
	store   *venv.Store
	host    *bridge.Host // is told what jobs will need
	journal *journal.Journal
	mailbox chan environmentWish
	answers chan environmentAnswer
	built   chan environmentAnswer
	builds  int
	backlog []environmentWish
	log     *slog.Logger
}

// environmentWish asks for an environment. With a lockfile it is built when it is
// not there; without one it is built again if the journal still has its lockfile.
type environmentWish struct {
	envHash       string
	lockfile      string
	pythonVersion string
}

// environmentAnswer is the result of a wish.
type environmentAnswer struct {
	envHash     string
	interpreter string
	cached      bool
	err         error
}

const (
	// environmentMailbox bounds the wishes on their way. The coordinator does not
	// wait when it is full, but asks again later.
	environmentMailbox = 16
	// environmentBuilds is how many builds run at once. A build is bound by the
	// network and the disk, and more of them only take longer together.
	environmentBuilds = 2
)

// NewEnvironments makes the actor. Builds run in its own goroutines.
func NewEnvironments(store *venv.Store, host *bridge.Host, j *journal.Journal, log *slog.Logger) *Environments {
	return &Environments{
		store: store, host: host, journal: j, log: log,
		mailbox: make(chan environmentWish, environmentMailbox),
		answers: make(chan environmentAnswer, environmentMailbox),
		built:   make(chan environmentAnswer),
	}
}

// Run answers wishes until ctx ends. An error means that the journal cannot be
// written.
func (e *Environments) Run(ctx context.Context) error {
	buildCtx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		for ; e.builds > 0; e.builds-- {
			<-e.built
		}
	}()
	for {
		mailbox := e.mailbox
		if len(e.backlog) >= environmentMailbox {
			mailbox = nil
		}
		var err error
		select {
		case <-ctx.Done():
			return nil
		case wish := <-mailbox:
			err = e.grant(ctx, buildCtx, wish)
		case answer := <-e.built:
			e.builds--
			if err = e.finish(ctx, answer); err == nil && len(e.backlog) > 0 {
				e.build(buildCtx, e.backlog[0])
				e.backlog = e.backlog[1:]
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// grant answers a wish at once when the environment is there or cannot be, and
// begins to build it otherwise.
func (e *Environments) grant(ctx, buildCtx context.Context, wish environmentWish) error {
	requested := wish.lockfile != ""
	env, err := e.store.Lookup(wish.envHash)
	if errors.Is(err, venv.ErrNotProvisioned) {
		if !requested {
			wish, err = e.remembered(wish, err)
		}
		if wish.lockfile != "" {
			if e.builds >= environmentBuilds {
				e.backlog = append(e.backlog, wish)
				return nil
			}
			e.build(buildCtx, wish)
			return nil
		}
	}
	answer := environmentAnswer{envHash: wish.envHash, interpreter: env.Interpreter, cached: true, err: err}
	if requested {
		return e.finish(ctx, answer)
	}
	return e.answer(ctx, answer)
}

// remembered completes a wish with the lockfile of an environment that was built
// before and is gone. Without one it gives the error to answer with.
func (e *Environments) remembered(wish environmentWish, missing error) (environmentWish, error) {
	known, ok := e.journal.State().Environment(wish.envHash)
	if !ok || known.Lockfile == "" {
		return wish, missing
	}
	if known.Phase == journal.EnvironmentBroken {
		return wish, fmt.Errorf("%w: its build failed: %s", missing, known.Reason)
	}
	lockfile, err := e.journal.Blob(known.Lockfile)
	if err != nil {
		return wish, err
	}
	wish.lockfile, wish.pythonVersion = string(lockfile), known.PythonVersion
	return wish, nil
}

func (e *Environments) build(ctx context.Context, wish environmentWish) {
	e.builds++
	e.log.Info("building environment", "env", short(wish.envHash))
	go func() {
		env, cached, err := e.buildWithRoom(ctx, venv.Spec{Hash: wish.envHash, Lockfile: wish.lockfile, PythonVersion: wish.pythonVersion})
		e.built <- environmentAnswer{envHash: wish.envHash, interpreter: env.Interpreter, cached: cached, err: err}
	}()
}

// buildWithRoom builds an environment, and waits for room where the disk is full.
func (e *Environments) buildWithRoom(ctx context.Context, spec venv.Spec) (env venv.Environment, cached bool, err error) {
	for times := 0; ; times++ {
		env, cached, err = e.store.Build(ctx, spec)
		failed, ok := errors.AsType[*venv.BuildError](err)
		if !ok || failed.Reason != venv.DiskFull {
			return env, cached, err
		}
		wait := roomPause(times)
		e.log.Warn("environment not built yet: the disk is full", "env", short(spec.Hash), "error", err, "again_in", wait, "hint", roomHint)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return env, cached, err
		}
	}
}

// finish records how a build ended, and makes room when the cap is passed.
func (e *Environments) finish(ctx context.Context, answer environmentAnswer) error {
	if ctx.Err() != nil {
		return nil // cut short, not failed: the next start builds it
	}
	var event journal.Event = journal.EnvironmentReady{EnvHash: answer.envHash, Interpreter: answer.interpreter, Cached: answer.cached}
	if answer.err != nil {
		event = journal.EnvironmentFailed{EnvHash: answer.envHash, Reason: head(answer.err.Error(), messageLimit)}
	}
	if _, err := e.journal.Append(ctx, event); err != nil {
		return err
	}
	if answer.err == nil {
		e.host.Prepare(answer.interpreter)
	}
	if err := e.answer(ctx, answer); err != nil {
		return err
	}
	return e.makeRoom(ctx, answer.envHash)
}

// makeRoom evicts the environments that were used longest ago. What cannot be
// removed now stays for the next time.
func (e *Environments) makeRoom(ctx context.Context, keep string) error {
	victims, err := e.store.Victims()
	if err != nil {
		e.log.Warn("the size of the environments is not known", "error", err)
		return nil
	}
	for _, hash := range victims {
		if hash == keep {
			continue
		}
		if _, known := e.journal.State().Environment(hash); known {
			if _, err := e.journal.Append(ctx, journal.EnvironmentEvicted{EnvHash: hash}); err != nil {
				return err
			}
		}
		if err := e.store.Remove(hash); err != nil {
			e.log.Warn("environment not removed", "env", short(hash), "error", err)
			continue
		}
		e.log.Info("environment evicted", "env", short(hash))
	}
	return nil
}

func (e *Environments) answer(ctx context.Context, a environmentAnswer) error {
	select {
	case e.answers <- a:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// short is an env_hash as people say it.
func short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}
