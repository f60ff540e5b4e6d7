package journal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// given folds events that have to be legal.
func given(t testing.TB, events ...Event) (s State) {
	t.Helper()
	return further(t, s, events...)
}

// further folds more of them.
func further(t testing.TB, s State, events ...Event) State {
	t.Helper()
	for _, event := range events {
		var err error
		if s, err = Apply(s, event); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// TestEveryEventInEveryPhase walks one job through its phases and meets it there
// with everything that can be said about a job.
func TestEveryEventInEveryPhase(t *testing.T) {
	life := wholeLife(7)
	durable := OutputCheckpointed{Attempt: attempt(7, 1, 1), Checkpoint: checkpoint(40)}
	aborting := AbortRequested{JobID: 7, Generation: 1}
	failure := JobConcluded{JobID: 7, Generation: 1, Receipt: Receipt{Status: Failed, Error: "aborted"}}
	undelivered := ReceiptUndelivered{JobID: 7, Generation: 1, Reason: "owed for 7 days"}
	other := jobSpec()
	other.FilePath = "/data/other.csv"
	phases := []struct {
		name   string
		events []Event
		phase  Phase
	}{
		{"unknown", nil, ""},
		{"queued", life[:1], Queued},
		{"queued, aborting", []Event{life[0], aborting}, Queued},
		{"running", life[:2], Running},
		{"running with a guest", life[:3], Running},
		{"running, checkpointed", append(slices.Clone(life[:3]), durable), Running},
		{"running, aborting", append(slices.Clone(life[:3]), aborting), Running},
		{"sealed", life[:4], Sealed},
		{"concluded", life[:5], Concluded},
		{"concluded and sent", life[:6], Concluded},
		{"confirmed", life[:7], Confirmed},
		{"undelivered", append(slices.Clone(life[:5]), undelivered), Undelivered},
		{"undelivered and sent", append(slices.Clone(life[:6]), undelivered), Undelivered},
		{"forgotten", append(slices.Clone(life[:7]), JobsForgotten{Jobs: []uint64{7}}), ""},
	}
	var names []string
	for _, p := range phases {
		names = append(names, p.name)
	}
	// legal lists, for each event, the phases in which it may happen.
	events := []struct {
		name  string
		event Event
		legal string
	}{
		{"the first dispatch", life[0], "unknown; forgotten"},
		{"a retry", JobAccepted{JobID: 7, Generation: 2, Spec: jobSpec(), Origin: OriginRetry},
			"queued; queued, aborting; running; running with a guest; running, checkpointed; running, aborting; sealed; concluded; concluded and sent; confirmed; undelivered; undelivered and sent"},
		{"other content", JobAccepted{JobID: 7, Generation: 2, Spec: other, Origin: OriginChanged},
			"queued; queued, aborting; running; running with a guest; running, checkpointed; running, aborting; sealed; concluded; concluded and sent; confirmed; undelivered; undelivered and sent"},
		{"a retry that has other content", JobAccepted{JobID: 7, Generation: 2, Spec: other, Origin: OriginRetry}, ""},
		{"other content that is the same", JobAccepted{JobID: 7, Generation: 2, Spec: jobSpec(), Origin: OriginChanged}, ""},
		{"generation 2 as a first dispatch", JobAccepted{JobID: 7, Generation: 2, Spec: jobSpec(), Origin: OriginNew}, ""},
		{"generation 3", JobAccepted{JobID: 7, Generation: 3, Spec: jobSpec(), Origin: OriginRetry}, ""},
		{"a job without an id", JobAccepted{Generation: 1, Spec: jobSpec(), Origin: OriginNew}, ""},
		{"the first attempt", life[1], "queued"},
		{"the second attempt", AttemptStarted{Attempt: attempt(7, 1, 2)}, ""},
		{"an attempt of generation 2", AttemptStarted{Attempt: attempt(7, 2, 1)}, ""},
		{"the guest", life[2], "running; running with a guest; running, checkpointed; running, aborting"},
		{"the guest of a later attempt", GuestStarted{Attempt: attempt(7, 1, 2)}, ""},
		{"the guest goes on", GuestReattached{Attempt: attempt(7, 1, 1)}, "running with a guest"},
		{"the guest goes on behind what is whole", GuestReattached{Attempt: attempt(7, 1, 1), Batches: 3}, "running, checkpointed"},
		{"the guest goes on elsewhere", GuestReattached{Attempt: attempt(7, 1, 1), Batches: 4}, ""},
		{"the guest of a later attempt goes on", GuestReattached{Attempt: attempt(7, 1, 2)}, ""},
		{"an interruption", AttemptInterrupted{Attempt: attempt(7, 1, 1)}, "running; running with a guest; running, checkpointed; running, aborting"},
		{"a sink of the plugin's", SinkChosen{Attempt: attempt(7, 1, 1)}, "running; running with a guest; running, checkpointed; running, aborting"},
		{"a sink of an attempt to come", SinkChosen{Attempt: attempt(7, 1, 2)}, ""},
		{"a checkpoint", OutputCheckpointed{Attempt: attempt(7, 1, 1), Checkpoint: checkpoint(40)}, "running; running with a guest; running, checkpointed"},
		{"a checkpoint of less", OutputCheckpointed{Attempt: attempt(7, 1, 1), Checkpoint: checkpoint(30)}, "running; running with a guest"},
		{"a checkpoint of nothing", OutputCheckpointed{Attempt: attempt(7, 1, 1)}, ""},
		{"a late checkpoint", OutputCheckpointed{Attempt: attempt(7, 1, 0), Checkpoint: checkpoint(50)}, ""},
		{"a resumption", OutputResumed{Attempt: attempt(7, 1, 1), Batches: 4}, "running, checkpointed"},
		{"a resumption elsewhere", OutputResumed{Attempt: attempt(7, 1, 1), Batches: 3}, ""},
		{"output set aside", OutputSetAside{Attempt: attempt(7, 1, 1), Reason: "other data"}, "running, checkpointed"},
		{"sealed output", life[3], "running; running with a guest; running, checkpointed"},
		{"an abort", aborting, "queued; queued, aborting; running; running with a guest; running, checkpointed; running, aborting"},
		{"success", life[4], "sealed"},
		{"failure", failure, "queued; queued, aborting; running; running with a guest; running, checkpointed; running, aborting; sealed"},
		{"a result that is neither", JobConcluded{JobID: 7, Generation: 1, Receipt: Receipt{Status: "REJECTED"}}, ""},
		{"a result of generation 2", JobConcluded{JobID: 7, Generation: 2, Receipt: Receipt{Status: Failed}}, ""},
		{"the receipt goes out", life[5], "concluded; concluded and sent; undelivered; undelivered and sent"},
		{"the receipt goes out to nowhere", ReceiptSent{JobID: 7, Generation: 1}, ""},
		{"the receipt is confirmed", life[6], "concluded and sent; undelivered and sent"},
		{"the receipt is given up", undelivered, "concluded; concluded and sent"},
		{"it is forgotten", JobsForgotten{Jobs: []uint64{7, 8}}, "unknown; confirmed; forgotten"},
		{"a repair", JournalRepaired{SetAside: "journal.db.damaged", Jobs: []uint64{7}}, strings.Join(names, "; ")},
	}
	met := map[Kind]bool{}
	for _, p := range phases {
		before := given(t, p.events...)
		if job, ok := before.Job(7); ok && job.Phase != p.phase {
			t.Fatalf("%s: the job is %s", p.name, job.Phase)
		}
		for _, e := range events {
			met[KindOf(e.event)] = true
			t.Run(p.name+"/"+e.name, func(t *testing.T) {
				want := slices.Contains(strings.Split(e.legal, "; "), p.name)
				dumped := dump(before)
				after, err := Apply(before, e.event)
				if got := dump(before); got != dumped {
					t.Fatalf("Apply changed the state it was given:\n%s\n%s", dumped, got)
				}
				if want != (err == nil) {
					t.Fatalf("legal: %v, want %v (%v)", err == nil, want, err)
				}
				if err == nil {
					if after.Events != before.Events+1 {
						t.Errorf("%d events, want %d", after.Events, before.Events+1)
					}
					return
				}
				var refused *TransitionError
				if !errors.As(err, &refused) || refused.Event == nil || refused.Why == "" {
					t.Errorf("not a reasoned TransitionError: %#v", err)
				}
				if dump(after) != dumped {
					t.Error("an illegal event changed the state")
				}
			})
		}
	}
	for kind := range schemas {
		of, _, _ := strings.Cut(string(kind), "-")
		if of == "worker" || of == "lanes" || of == "environment" {
			continue
		}
		if !met[kind] {
			t.Errorf("the table has no %s", kind)
		}
	}
}

func TestLanesAreRememberedUntilTheyAreForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		events []Event // the last one is looked at
		legal  bool
		lanes  uint32
	}{
		"one lane needs no word":        {[]Event{LanesOpened{1}}, false, 0},
		"none is no number":             {[]Event{LanesOpened{0}}, false, 0},
		"four":                          {[]Event{LanesOpened{4}}, true, 4},
		"more":                          {[]Event{LanesOpened{2}, LanesOpened{4}}, true, 4},
		"fewer are no news":             {[]Event{LanesOpened{4}, LanesOpened{2}}, false, 4},
		"the same again":                {[]Event{LanesOpened{4}, LanesOpened{4}}, false, 4},
		"the others forgotten":          {[]Event{LanesOpened{4}, LanesForgotten{2}}, true, 2},
		"all but the first":             {[]Event{LanesOpened{4}, LanesForgotten{1}}, true, 1},
		"all of them":                   {[]Event{LanesOpened{4}, LanesForgotten{0}}, false, 4},
		"more than there are":           {[]Event{LanesOpened{4}, LanesForgotten{5}}, false, 4},
		"of a worker that had one lane": {[]Event{LanesForgotten{1}}, false, 0},
		"opened again":                  {[]Event{LanesOpened{4}, LanesForgotten{2}, LanesOpened{3}}, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			last := len(c.events) - 1
			s, err := Apply(given(t, c.events[:last]...), c.events[last])
			if (err == nil) != c.legal || s.Lanes != c.lanes {
				t.Errorf("%d lanes, %v; want %d, legal: %v", s.Lanes, err, c.lanes, c.legal)
			}
		})
	}
}

func TestApplyRefusesWhatIsNoEvent(t *testing.T) {
	for name, event := range map[string]Event{"nil": nil, "a pointer": &WorkerStarted{}} {
		t.Run(name, func(t *testing.T) {
			_, err := Apply(State{}, event)
			var refused *TransitionError
			if !errors.As(err, &refused) || err.Error() == "" {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// TestAJobsStory follows one job through a crash, an abort that comes too late, a
// retry that fails and one that succeeds.
func TestAJobsStory(t *testing.T) {
	s := given(t, story()[0], JobAccepted{JobID: 7, Generation: 1, Spec: jobSpec(), Origin: OriginNew})
	step := func(event Event) *Job {
		t.Helper()
		next, err := Apply(s, event)
		if err != nil {
			t.Fatal(err)
		}
		s = next
		job, _ := s.Job(7)
		return job
	}
	listed := func(want string) {
		t.Helper()
		got := ""
		for job := range s.Unfinished() {
			got += fmt.Sprintf("unfinished %d ", job.ID)
		}
		for job := range s.Owed() {
			got += fmt.Sprintf("owed %d ", job.ID)
		}
		if strings.TrimSpace(got) != want {
			t.Fatalf("listed %q, want %q", got, want)
		}
	}
	listed("unfinished 7")

	step(AttemptStarted{Attempt: attempt(7, 1, 1)})
	step(GuestStarted{Attempt: attempt(7, 1, 1), Guest: Guest{PID: 11, StartTime: 5}})
	// The worker dies. The next one finds the attempt, and the process it left.
	job := step(WorkerStarted{WorkerID: "edge-1"})
	if job.Phase != Running || s.Starts != 2 || s.Stopped {
		t.Fatalf("after a crash: %s, %d starts, stopped %v", job.Phase, s.Starts, s.Stopped)
	}
	job = step(AttemptInterrupted{Attempt: attempt(7, 1, 1), Reason: "the worker died", Crashed: true})
	if job.Phase != Queued || job.Guest == nil || job.Guest.PID != 11 || job.Crashes != 1 {
		t.Fatalf("after the interruption: %s", dumpJob(job))
	}
	job = step(AttemptStarted{Attempt: attempt(7, 1, 2)})
	if job.Guest != nil || job.Attempt() != attempt(7, 1, 2) {
		t.Fatalf("second attempt: %s", dumpJob(job))
	}
	if _, err := Apply(s, GuestStarted{Attempt: attempt(7, 1, 1)}); err == nil {
		t.Fatal("a late event of attempt 1 was taken for one of attempt 2")
	}
	step(OutputSealed{Attempt: attempt(7, 1, 2), Metrics: map[string]int64{"rows": 5}})
	step(JobConcluded{JobID: 7, Generation: 1, Receipt: success("rows")})
	listed("owed 7")
	step(ReceiptSent{JobID: 7, Generation: 1, Connection: 1})
	job = step(ReceiptConfirmed{JobID: 7, Generation: 1})
	listed("")
	if job.Spec.Plugin != "weather" || job.Spec.FilePath != "" || job.Content != jobSpec().Content() ||
		len(job.Receipt.Artifacts) != 1 || job.Receipt.Metrics != nil {
		t.Fatalf("what is kept of a confirmed job: %s", dumpJob(job))
	}

	// The Sentinel means it: the same dispatch again. It fails, and the output of
	// generation 1 is still what a success has to replace.
	job = step(JobAccepted{JobID: 7, Generation: 2, Spec: jobSpec(), Origin: OriginRetry})
	if job.Attempts != 0 || job.Crashes != 0 || len(job.Earlier) != 1 || job.Receipt != nil {
		t.Fatalf("generation 2: %s", dumpJob(job))
	}
	step(JobConcluded{JobID: 7, Generation: 2, Receipt: Receipt{Status: Failed, Error: "raised"}})
	job = step(JobAccepted{JobID: 7, Generation: 3, Spec: jobSpec(), Origin: OriginRetry})
	if len(job.Earlier) != 1 || job.Earlier[0] != success("rows").Artifacts[0] {
		t.Fatalf("generation 3 should replace what generation 1 published: %s", dumpJob(job))
	}
	listed("unfinished 7")
	other := jobSpec()
	other.FileVersionID++
	if job = step(JobAccepted{JobID: 7, Generation: 4, Spec: other, Origin: OriginChanged}); job.Earlier != nil {
		t.Fatalf("other content replaces nothing: %s", dumpJob(job))
	}
	if s.JobCount() != 1 {
		t.Fatalf("%d jobs", s.JobCount())
	}
}

func TestEnvironments(t *testing.T) {
	s := given(t, EnvironmentRequested{EnvHash: "abc", Lockfile: "l", PythonVersion: "3.12"})
	check := func(want Environment) {
		t.Helper()
		if got, _ := s.Environment("abc"); got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	check(Environment{Hash: "abc", Phase: EnvironmentWanted, Lockfile: "l", PythonVersion: "3.12"})
	s, _ = Apply(s, EnvironmentFailed{EnvHash: "abc", Reason: "offline"})
	check(Environment{Hash: "abc", Phase: EnvironmentBroken, Lockfile: "l", PythonVersion: "3.12", Reason: "offline"})
	s, _ = Apply(s, EnvironmentReady{EnvHash: "abc", Interpreter: "/p"})
	check(Environment{Hash: "abc", Phase: EnvironmentUsable, Lockfile: "l", PythonVersion: "3.12", Interpreter: "/p"})
	s, _ = Apply(s, EnvironmentEvicted{EnvHash: "abc"})
	check(Environment{Hash: "abc", Phase: EnvironmentRemoved, Lockfile: "l", PythonVersion: "3.12"})
	if _, err := Apply(s, EnvironmentEvicted{EnvHash: "never seen"}); err == nil {
		t.Error("an environment never seen was evicted")
	}
	if _, known := (State{}).Environment("abc"); known {
		t.Error("the empty state knows an environment")
	}
}

func TestContentTellsDispatchesApart(t *testing.T) {
	base := jobSpec()
	base.Sinks = []SinkSpec{{Topic: "a", URI: "u1", Mode: "append"}, {Topic: "b", URI: "u2", Mode: "append"}}
	cases := []struct {
		name   string
		change func(*JobSpec)
		same   bool
	}{
		{"sinks repeated after a reload", func(s *JobSpec) { s.Sinks = append(slices.Clone(s.Sinks), s.Sinks...) }, true},
		{"sinks in another order", func(s *JobSpec) { s.Sinks = []SinkSpec{s.Sinks[1], s.Sinks[0]} }, true},
		{"a schema", func(s *JobSpec) {
			s.Sinks = slices.Clone(s.Sinks)
			s.Sinks[0].Schema = []byte(`{}`)
		}, true},
		{"another mode", func(s *JobSpec) {
			s.Sinks = slices.Clone(s.Sinks)
			s.Sinks[0].Mode = "replace"
		}, false},
		{"a sink less", func(s *JobSpec) { s.Sinks = s.Sinks[:1] }, false},
		{"another file", func(s *JobSpec) { s.FilePath += "x" }, false},
		{"another version of the file", func(s *JobSpec) { s.FileVersionID++ }, false},
		{"another source", func(s *JobSpec) { s.Source = "x" }, false},
		{"another environment", func(s *JobSpec) { s.EnvHash = "x" }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			changed := base
			c.change(&changed)
			before := fmt.Sprintf("%+v", changed)
			if same := changed.Content() == base.Content(); same != c.same {
				t.Errorf("same: %v, want %v", same, c.same)
			}
			if fmt.Sprintf("%+v", changed) != before {
				t.Error("Content changed the spec")
			}
		})
	}
}

// TestStatesOfThePastNeverChange keeps every state of a long random history and
// looks at all of them again at the end.
func TestStatesOfThePastNeverChange(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var s State
	var states []State
	var dumps []string
	for len(states) < 500 {
		next, err := Apply(s, randomEvent(random, s))
		if err != nil {
			continue
		}
		s = next
		states, dumps = append(states, s), append(dumps, dump(s))
	}
	for i, state := range states {
		if dump(state) != dumps[i] {
			t.Fatalf("state %d changed", i)
		}
	}
	retried := 0
	for it := s.jobs.Iterator(); !it.Done(); {
		if _, job, _ := it.Next(); job.Generation > 2 {
			retried++
		}
	}
	if retried == 0 || s.JobCount() < 20 {
		t.Fatalf("a poor history: %d jobs, %d with many generations", s.JobCount(), retried)
	}
}

// TestALiveStateIsTheStateThatARestartFinds appends random events, legal and not,
// and compares the fold of what was appended with the fold of what is on disk.
func TestALiveStateIsTheStateThatARestartFinds(t *testing.T) {
	for seed := uint64(1); seed <= 2; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			dir := t.TempDir()
			j := open(t, dir)
			var folded State
			refused := 0
			for range 250 {
				event := randomEvent(random, folded)
				next, want := Apply(folded, event)
				got, err := j.Append(t.Context(), event, blobsFor(event)...)
				if (want == nil) != (err == nil) {
					t.Fatalf("Apply says %v, Append says %v", want, err)
				}
				if err != nil {
					refused++
				}
				folded = next
				if dump(got) != dump(folded) {
					t.Fatalf("after %T:\n%s\n%s", event, dump(got), dump(folded))
				}
			}
			if refused == 0 || folded.Events == 0 {
				t.Fatal("the history has no illegal or no legal event")
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if again := open(t, dir); dump(again.State()) != dump(folded) {
				t.Fatalf("after a restart:\n%s\n%s", dump(again.State()), dump(folded))
			}
		})
	}
}

// randomEvent draws an event that is likely to be legal in a state.
func randomEvent(random *rand.Rand, s State) Event {
	id := uint64(random.IntN(40) + 1)
	job, known := s.Job(id)
	if !known {
		if random.IntN(20) == 0 {
			return []Event{
				WorkerStarted{WorkerID: fmt.Sprint("w", random.IntN(3)), PID: random.Int()},
				WorkerStopped{Reason: "SIGTERM \xff"}, // a string that is not UTF-8
				EnvironmentRequested{EnvHash: fmt.Sprint(random.IntN(4)), Lockfile: DigestOf(lockfile)},
				EnvironmentReady{EnvHash: fmt.Sprint(random.IntN(4)), Interpreter: "/p", Cached: true},
				EnvironmentFailed{EnvHash: fmt.Sprint(random.IntN(4)), Reason: "<&>\u2028"},
				EnvironmentEvicted{EnvHash: fmt.Sprint(random.IntN(4))},
				LanesOpened{Lanes: random.Uint32N(5)},
				LanesForgotten{Lanes: random.Uint32N(5)},
			}[random.IntN(8)]
		}
		return JobAccepted{JobID: id, Generation: 1, Spec: jobSpec(), Origin: OriginNew}
	}
	now := job.Attempt()
	next := now
	next.Attempt++
	spec, origin := jobSpec(), OriginRetry
	if spec.Content() != job.Content || random.IntN(3) == 0 {
		spec.FileVersionID, origin = int64(random.IntN(1000)), OriginChanged
	}
	choices := []Event{
		JobAccepted{JobID: id, Generation: job.Generation + 1, Spec: spec, Origin: origin},
		AttemptStarted{Attempt: next, Interpreter: "/p"},
		GuestStarted{Attempt: now, Guest: Guest{PID: random.IntN(100), StartTime: random.Uint64()}},
		AttemptInterrupted{Attempt: now, Reason: "stop", Crashed: random.IntN(2) == 0},
		OutputSealed{Attempt: now, Outputs: []Output{{Sink: spec.Sinks[0], Token: []byte(`{"n":1}`), Rows: 3}},
			Metrics: map[string]int64{"rows": 3}},
		AbortRequested{JobID: id, Generation: job.Generation},
		JobConcluded{JobID: id, Generation: job.Generation, Receipt: Receipt{Status: Failed, Error: "x"}},
		JobConcluded{JobID: id, Generation: job.Generation, Receipt: success("t")},
		ReceiptSent{JobID: id, Generation: job.Generation, Connection: uint64(random.IntN(3))},
		ReceiptConfirmed{JobID: id, Generation: job.Generation, Evidence: "dispatch"},
	}
	return choices[random.IntN(len(choices))]
}

// TestACheckpointsStory: what is durable lasts from attempt to attempt, until it is
// sealed, set aside or given up.
func TestACheckpointsStory(t *testing.T) {
	chosen := SinkSpec{Topic: "errors", URI: "parquet://errors.parquet", Mode: "append"}
	s := given(t,
		JobAccepted{JobID: 7, Generation: 1, Spec: jobSpec(), Origin: OriginNew},
		AttemptStarted{Attempt: attempt(7, 1, 1)},
		SinkChosen{Attempt: attempt(7, 1, 1), Sink: chosen},
		SinkChosen{Attempt: attempt(7, 1, 1), Sink: chosen},
		OutputCheckpointed{Attempt: attempt(7, 1, 1), Checkpoint: checkpoint(40)},
		AttemptInterrupted{Attempt: attempt(7, 1, 1), Reason: "the worker died", Crashed: true},
		AttemptStarted{Attempt: attempt(7, 1, 2)},
	)
	job, _ := s.Job(7)
	if job.Checkpoint == nil || job.Checkpoint.Batches != 4 || len(job.Chosen) != 1 {
		t.Fatalf("the second attempt begins with %s", dumpJob(job))
	}
	for name, e := range map[string]Event{
		"a late checkpoint":        OutputCheckpointed{Attempt: attempt(7, 1, 1), Checkpoint: checkpoint(50)},
		"fewer batches":            OutputCheckpointed{Attempt: attempt(7, 1, 2), Checkpoint: checkpoint(30)},
		"an output that is missed": OutputCheckpointed{Attempt: attempt(7, 1, 2), Checkpoint: Checkpoint{Batches: 5, Outputs: []Output{{Sink: chosen, Rows: 50}}}},
	} {
		if _, err := Apply(s, e); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	sealed := further(t, s, OutputSealed{Attempt: attempt(7, 1, 2)})
	if job, _ := sealed.Job(7); job.Checkpoint != nil {
		t.Error("sealed output is still called a part")
	}
	aside := further(t, s, OutputSetAside{Attempt: attempt(7, 1, 2), Reason: "other data"},
		OutputCheckpointed{Attempt: attempt(7, 1, 2), Checkpoint: checkpoint(10)})
	if job, _ := aside.Job(7); job.Checkpoint.Batches != 1 {
		t.Errorf("after it was set aside: %s", dumpJob(job))
	}
	// An abort that comes first wins over a checkpoint and over the seal, and the
	// other way round.
	aborted := further(t, s, AbortRequested{JobID: 7, Generation: 1})
	for _, e := range []Event{OutputCheckpointed{Attempt: attempt(7, 1, 2), Checkpoint: checkpoint(50)}, OutputSealed{Attempt: attempt(7, 1, 2)}} {
		if _, err := Apply(aborted, e); err == nil {
			t.Errorf("%s was taken after the abort", KindOf(e))
		}
	}
	if _, err := Apply(sealed, AbortRequested{JobID: 7, Generation: 1}); err == nil {
		t.Error("a sealed job was aborted")
	}
	// A second receipt never replaces the first.
	done := further(t, sealed, JobConcluded{JobID: 7, Generation: 1, Receipt: success("rows")})
	if _, err := Apply(done, JobConcluded{JobID: 7, Generation: 1, Receipt: Receipt{Status: Failed}}); err == nil {
		t.Error("a second receipt was taken")
	}
	// A newer generation knows where the replaced one may have left something.
	other := jobSpec()
	other.FilePath = "/data/other.csv"
	replaced := further(t, s, JobAccepted{JobID: 7, Generation: 2, Spec: other, Origin: OriginChanged})
	if job, _ := replaced.Job(7); job.Checkpoint != nil || len(job.Stale) != 2 || len(job.Chosen) != 0 {
		t.Errorf("generation 2 begins with %s", dumpJob(job))
	}
}
