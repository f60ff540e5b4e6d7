package ops

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/casparian-flow/casparian-worker/actors"
	"github.com/casparian-flow/casparian-worker/bridge"
	"github.com/casparian-flow/casparian-worker/journal"
	"github.com/casparian-flow/casparian-worker/protocol/link"
)

// Status is what a running worker says of itself.
type Status struct {
	WorkerID    string              `json:"worker_id"`
	PID         int                 `json:"pid"`
	Since       time.Time           `json:"since"`
	Connect     string              `json:"connect"`
	Lanes       []LaneStatus        `json:"lanes"`
	Plugins     []string            `json:"plugins"`
	Paused      string              `json:"paused,omitempty"` // why the journal takes nothing
	Held        string              `json:"held,omitempty"`   // why no job starts
	Events      uint64              `json:"events"`
	Queued      int                 `json:"queued"`
	Running     []JobStatus         `json:"running"`
	Warm        []bridge.WarmStatus `json:"warm_guests"`
	Owed        int                 `json:"receipts_owed"`        // sent until confirmed
	Undelivered int                 `json:"receipts_undelivered"` // kept, and not sent by themselves any more
	Concluded   uint64              `json:"concluded"`            // since the process started
	Failed      uint64              `json:"failed"`
	Skipped     uint64              `json:"messages_skipped"`
	Syncs       uint64              `json:"syncs"` // of files and folders, since the process started
	Goroutines  int                 `json:"goroutines"`
}

// LaneStatus is one lane to the Sentinel.
type LaneStatus struct {
	Identity string     `json:"identity"`
	Link     LinkStatus `json:"link"`
	Job      *uint64    `json:"job,omitempty"` // that it has in hand, the oldest
}

// String says it in a line.
func (l LaneStatus) String() string {
	work := "idle"
	if l.Job != nil {
		work = fmt.Sprintf("job %d", *l.Job)
	}
	return fmt.Sprintf("%s, %s", work, l.Link)
}

func laneStatus(s actors.LaneStatus) LaneStatus {
	l := LaneStatus{Identity: s.Link.Identity, Link: linkStatus(s.Link)}
	if s.Activity.Busy {
		l.Job = &s.Activity.CurrentJob
	}
	return l
}

// LinkStatus is a lane's connection to the Sentinel.
type LinkStatus struct {
	State     string        `json:"state"`
	Endpoint  string        `json:"endpoint"` // that is up, or dialled, or was last
	Since     time.Time     `json:"since"`
	NextDial  time.Time     `json:"next_dial,omitzero"`
	Failures  uint64        `json:"failures"`
	LastError string        `json:"last_error,omitempty"`
	RTT       time.Duration `json:"rtt_ns,omitempty"`

	// Reasons counts, by kind, why connections ended or did not come up.
	Reasons map[link.Kind]uint64 `json:"reasons"`
}

func linkStatus(s link.Status) LinkStatus {
	l := LinkStatus{State: string(s.State), Endpoint: s.Endpoint, Reasons: s.Reasons, Since: s.Since, NextDial: s.NextDial, Failures: s.Failures, RTT: s.RTT}
	if s.LastError != nil {
		l.LastError = s.LastError.Error()
	}
	return l
}

// String says it in a line.
func (l LinkStatus) String() string {
	line := fmt.Sprintf("%s for %s (%s)", l.State, time.Since(l.Since).Round(time.Second), l.Endpoint)
	if l.RTT > 0 {
		line += fmt.Sprintf(", round trip %s", l.RTT.Round(time.Microsecond))
	}
	if l.LastError != "" && l.Failures > 0 {
		line += fmt.Sprintf(", %s, the last: %s", plural(int(l.Failures), "failure"), l.LastError)
	}
	if len(l.Reasons) > 0 {
		var counts []string
		for _, kind := range slices.Sorted(maps.Keys(l.Reasons)) {
			counts = append(counts, fmt.Sprintf("%s %d", kind, l.Reasons[kind]))
		}
		line += fmt.Sprintf("; since the start: %s", strings.Join(counts, ", "))
	}
	return line
}

// JobStatus is one running job.
type JobStatus struct {
	Job    uint64 `json:"job"`
	Plugin string `json:"plugin"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	// Reattached counts how often its guest went on with another worker process.
	Reattached uint32 `json:"reattached,omitempty"`
}

// Status looks at the worker. It waits for nothing.
func (d *Daemon) Status() Status {
	state := d.journal.State()
	s := Status{
		WorkerID: d.ID, PID: os.Getpid(), Since: d.started, Connect: d.config.Connect.String(),
		Plugins: d.config.Plugins, Events: state.Events,
		Skipped: d.sentinel.Skipped(), Running: []JobStatus{}, Warm: d.host.Warm(),
	}
	for _, lane := range d.sentinel.LaneStatus() {
		s.Lanes = append(s.Lanes, laneStatus(lane))
	}
	if err := d.journal.Paused(); err != nil {
		s.Paused = err.Error()
	}
	s.Held = d.Monitor.Held()
	for job := range state.Unfinished() {
		if job.Phase == journal.Queued {
			s.Queued++
		}
	}
	for range state.Owed() {
		s.Owed++
	}
	for range state.Undelivered() {
		s.Undelivered++
	}
	for _, p := range d.Monitor.Running() {
		running := JobStatus{Job: p.Job, Plugin: p.Plugin, Rows: p.Rows.Load(), Bytes: p.Bytes.Load()}
		if job, known := state.Job(p.Job); known {
			running.Reattached = job.Reattached
		}
		s.Running = append(s.Running, running)
	}
	slices.SortFunc(s.Running, func(a, b JobStatus) int { return cmp.Compare(a.Job, b.Job) })
	s.Concluded, s.Failed, _ = d.Monitor.Counts()
	s.Syncs = d.journal.Syncs() + d.syncs.Load()
	s.Goroutines = runtime.NumGoroutine()
	return s
}

// AskStatus asks the worker that runs on a state folder.
func AskStatus(ctx context.Context, stateDir string) (status Status, err error) {
	err = ask(ctx, stateDir, controlRequest{Ask: "status"}, func(line []byte) error {
		return json.Unmarshal(line, &status)
	})
	return status, err
}
