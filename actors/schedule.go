package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/sink"
)

// advance starts what can be started and sends what can be sent. It runs after
// every message, so that no message needs to know what it sets free.
func (c *Coordinator) advance(ctx context.Context) error {
	if err := c.startJobs(ctx); err != nil {
		return err
	}
	if err := c.harden(ctx); err != nil {
		return err
	}
	c.handOver()
	c.show()
	c.post()
	return nil
}

// startJobs fills the free places with what the scheduler chooses of the jobs that
// wait.
func (c *Coordinator) startJobs(ctx context.Context) error {
	now := time.Now()
	var plugins []string // that have jobs waiting, in the order of their first
	waiting := map[string][]*journal.Job{}
	for job := range c.journal.State().Unfinished() {
		if c.running[job.ID] != nil || c.closing[job.ID] {
			continue
		}
		switch {
		case job.Phase == journal.Queued && job.Aborting:
			if err := c.conclude(ctx, job, abortedReceipt()); err != nil {
				return err
			}
		case c.drainAsked():
		case job.Phase == journal.Sealed && len(c.running)+len(c.closing) < c.config.Concurrency:
			c.closing[job.ID] = true
			c.writer.publish <- job
		case job.Phase == journal.Queued && now.After(c.hold.until):
			plugin := job.Spec.Plugin
			if len(waiting[plugin]) == 0 {
				plugins = append(plugins, plugin)
			}
			waiting[plugin] = append(waiting[plugin], job)
		}
	}
	for {
		i := c.scheduler.next(plugins, c.inPlaces(), now)
		if i < 0 {
			return nil
		}
		line := waiting[plugins[i]]
		// It may not start after all: it is refused, or waits for its environment.
		if err := c.startJob(ctx, line[0]); err != nil {
			return err
		}
		waiting[plugins[i]] = line[1:]
		if len(line) == 1 {
			plugins = slices.Delete(plugins, i, i+1)
		}
	}
}

// inPlaces lists what takes up a place.
func (c *Coordinator) inPlaces() []runningJob {
	jobs := make([]runningJob, 0, len(c.running)+len(c.closing))
	for _, a := range c.running {
		jobs = append(jobs, runningJob{plugin: a.spec.Plugin, since: a.progress.began})
	}
	for range c.closing {
		jobs = append(jobs, runningJob{})
	}
	return jobs
}

// startJob begins an attempt, or asks for the environment that it needs first.
func (c *Coordinator) startJob(ctx context.Context, job *journal.Job) error {
	if why := c.refusal(job); why != nil {
		return c.conclude(ctx, job, failed("%v", why))
	}
	interpreter, usable := c.usable[job.Spec.EnvHash]
	if !usable {
		c.wish(environmentWish{envHash: job.Spec.EnvHash})
		return nil
	}
	source, err := c.journal.Blob(job.Spec.Source)
	if lost(err) {
		return c.conclude(ctx, job, failed("the plugin's source is not readable in the journal any more, dispatch the job again: %v", err))
	}
	if err != nil {
		return err
	}
	mismatch, err := c.compareArtifact(job, source)
	if err != nil {
		return err
	}
	if mismatch != nil && c.config.ArtifactCheck == ArtifactEnforce {
		return c.conclude(ctx, job, failed("%v", mismatch))
	}
	attempt := job.Attempt()
	attempt.Attempt++
	state, err := c.decide(ctx, journal.AttemptStarted{Attempt: attempt, Interpreter: interpreter})
	if err != nil {
		return err
	}
	job, _ = state.Job(job.ID)
	c.begin(job, source)
	return nil
}

// begin makes an assignment of a job's latest attempt, to be handed over.
func (c *Coordinator) begin(job *journal.Job, source []byte) *assignment {
	stopCtx, stop := context.WithCancelCause(context.Background())
	a := &assignment{
		attempt: job.Attempt(), spec: job.Spec, source: source,
		targets: targetsOf(job), earlier: job.Earlier, chosen: targetsFor(job, job.Chosen), checkpoint: job.Checkpoint,
		ctx: stopCtx, stop: stop, feed: make(chan fed, feedLimit), settled: make(chan struct{}),
		progress: &Progress{Job: job.ID, Plugin: job.Spec.Plugin, began: time.Now()},
	}
	c.running[job.ID] = a
	c.begun = append(c.begun, a)
	c.scheduler.started(job.Spec.Plugin)
	return a
}

// lost tells that a blob was damaged on the disk, or lost in a repair.
func lost(err error) bool {
	_, damaged := errors.AsType[*journal.CorruptError](err)
	return damaged || errors.Is(err, journal.ErrNoBlob)
}

// handOver gives the attempts that were begun, or are gone on with, to writer and runner.
func (c *Coordinator) handOver() {
	for _, a := range c.begun {
		c.monitor.started(a.progress)
		// Both have room for as many as may run at once.
		c.writer.mailbox <- a
		c.runner.mailbox <- a
		if a.left == nil {
			c.log.Info("job started", "job", a.attempt.JobID, "plugin", a.spec.Plugin, "attempt", a.attempt.Attempt)
		}
	}
	c.begun = nil
}

// refusal says why a job cannot be run at all.
func (c *Coordinator) refusal(job *journal.Job) error {
	if job.Spec.Refused != "" {
		return errors.New(job.Spec.Refused)
	}
	if job.Crashes >= c.config.MaxCrashes {
		return fmt.Errorf("given up: the worker died under %d attempts of this job", job.Crashes)
	}
	targets := targetsOf(job)
	errs := []error{distinct(targets)}
	for _, target := range targets {
		errs = append(errs, c.check(target))
	}
	return errors.Join(errs...)
}

func (c *Coordinator) check(target sink.Target) error {
	driver, err := c.writer.sinks.For(target.URI)
	if err != nil {
		return err
	}
	return driver.Check(target)
}

// wish asks the environment builder, once for each env_hash at a time. When its
// mailbox is full the wish is dropped: whoever needs it comes by again.
func (c *Coordinator) wish(w environmentWish) {
	if _, asked := c.asked[w.envHash]; asked {
		return
	}
	select {
	case c.environments.mailbox <- w:
		c.asked[w.envHash] = nil
	default:
	}
}

// wishWanted asks for the environments that are requested and not built: after a
// PREPARE_ENV, and after a restart.
func (c *Coordinator) wishWanted(ctx context.Context) error {
	for env := range c.journal.State().Environments() {
		if _, asked := c.asked[env.Hash]; asked || env.Phase != journal.EnvironmentWanted {
			continue
		}
		lockfile, err := c.journal.Blob(env.Lockfile)
		if lost(err) {
			_, err = c.journal.Append(ctx, journal.EnvironmentFailed{EnvHash: env.Hash,
				Reason: fmt.Sprintf("its lockfile is not readable in the journal any more, ask for it again: %v", err)})
			if err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		c.wish(environmentWish{envHash: env.Hash, lockfile: string(lockfile), pythonVersion: env.PythonVersion})
	}
	return nil
}

// prepare takes a PREPARE_ENV.
func (c *Coordinator) prepare(ctx context.Context, e EnvironmentAsked) error {
	if len(e.Lockfile) > journal.MaxBlob {
		c.reply(e, environmentAnswer{envHash: e.EnvHash,
			err: fmt.Errorf("the lockfile has %d bytes, at most %d are taken", len(e.Lockfile), journal.MaxBlob)})
		return nil
	}
	event := journal.EnvironmentRequested{EnvHash: e.EnvHash, Lockfile: journal.DigestOf([]byte(e.Lockfile)), PythonVersion: e.PythonVersion}
	if _, err := c.journal.Append(ctx, event, []byte(e.Lockfile)); err != nil {
		return err
	}
	if err := c.wishWanted(ctx); err != nil {
		return err
	}
	if waiting, asked := c.asked[e.EnvHash]; asked && len(waiting) < environmentMailbox {
		c.asked[e.EnvHash] = append(waiting, e)
	}
	return nil
}

// provision handles an answer about an environment: jobs that wait for it can
// start, or fail, and whoever asked for it is told.
func (c *Coordinator) provision(ctx context.Context, answer environmentAnswer) error {
	waiting := c.asked[answer.envHash]
	delete(c.asked, answer.envHash)
	if env, ok := c.journal.State().Environment(answer.envHash); ok && env.Phase == journal.EnvironmentWanted {
		// Its PREPARE_ENV came while a job's wish was on its way: ask again, with the lockfile.
		if err := c.wishWanted(ctx); err != nil {
			return err
		}
		if _, asked := c.asked[answer.envHash]; asked {
			c.asked[answer.envHash] = waiting
		}
		return nil
	}
	for _, e := range waiting {
		c.reply(e, answer)
	}
	if answer.err == nil {
		c.usable[answer.envHash] = answer.interpreter
		return nil
	}
	c.log.Warn("environment not available", "env", short(answer.envHash), "error", head(answer.err.Error(), 500))
	for job := range c.journal.State().Unfinished() {
		if job.Phase == journal.Queued && job.Spec.EnvHash == answer.envHash && c.running[job.ID] == nil {
			if err := c.conclude(ctx, job, failed("%s", head(answer.err.Error(), messageLimit))); err != nil {
				return err
			}
		}
	}
	return nil
}
