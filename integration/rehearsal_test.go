//go:build unix

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/harness"
	"github.com/casparian-flow/casparian-worker/integration/parts"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// rehearsalTime bounds one drill of these tests on a busy machine.
const rehearsalTime = 10 * time.Minute

// rehearse runs `casparian-worker drill` to its end.
func rehearse(t *testing.T, binary string, arguments ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), rehearsalTime)
	defer cancel()
	command := exec.CommandContext(ctx, binary, append([]string{"drill", "--python", parts.Python(t)}, arguments...)...)
	site := harness.NewSite(t, nil, harness.Options{})
	command.Env = site.Environ()
	var out, progress bytes.Buffer
	command.Stdout, command.Stderr = &out, &progress
	command.WaitDelay = time.Second
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), progress.String(), command.ProcessState.ExitCode()
}

// The drill that an operator runs, with the race detector in every worker: each
// point is hit, and nothing is lost.
func TestDrillEachPointOnce(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := rehearse(t, harness.Binary(t, false), "--seed", "1", "--warm-guests", "off", "--json")
	if code != 0 {
		t.Fatalf("status %d\n%s%s", code, stdout, stderr)
	}
	var report struct {
		Points []struct {
			Point                string
			Hits, Jobs, Receipts int
			RowsExpected         int64 `json:"rows_expected"`
			RowsFound            int64 `json:"rows_found"`
		}
		Loads []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil {
		t.Fatalf("%v\n%s", err, stdout)
	}
	if len(report.Points) != len(crashpoint.All) || len(report.Loads) != 4 {
		t.Errorf("%d of %d points, %d loads:\n%s", len(report.Points), len(crashpoint.All), len(report.Loads), stdout)
	}
	for _, p := range report.Points {
		if p.Hits == 0 || p.Jobs != p.Receipts || p.RowsFound != p.RowsExpected {
			t.Errorf("%+v", p)
		}
	}
}

// A drill at random moments.
func TestDrillAtRandomMoments(t *testing.T) {
	t.Parallel()
	stdout, stderr, code := rehearse(t, harness.Binary(t, false), "--seed", "2", "--kills", "12", "--load", "single,two-sinks,nested")
	if code != 0 || !strings.Contains(stdout, "12 kills") || !strings.Contains(stdout, "nothing lost, nothing doubled, nothing left over") {
		t.Errorf("status %d\n%s%s", code, stdout, stderr)
	}
}

// An installation's own plugin, on its own data.
func TestDrillAPluginOfOnesOwn(t *testing.T) {
	t.Parallel()
	site := harness.NewSite(t, nil, harness.Options{})
	for name, c := range map[string]struct{ source, want string }{
		"deterministic": {
			"class Handler:\n    def consume(self, event):\n        yield [{'n': int(line)} for line in open(event.path)]\n",
			"compared value by value, in order"},
		"another order each time": {
			"import random\nclass Handler:\n    def consume(self, event):\n        rows = [{'n': n} for n in range(100)]\n        random.shuffle(rows)\n        yield rows\n",
			"NOT DETERMINISTIC in its order"},
		"other values each time": {
			"import random\nclass Handler:\n    def consume(self, event):\n        yield [{'x': random.random()}] * 5\n",
			"NOT DETERMINISTIC: two undisturbed runs give other values"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plugin := site.Input(strings.ReplaceAll(name, " ", "_")+".py", c.source)
			stdout, stderr, code := rehearse(t, harness.Binary(t, false), "--plugin", plugin, "--input", site.Input(name+".txt", "1\n2\n3\n"),
				"--system", "--at", "sink.publish.after")
			if code != 0 || !strings.Contains(stderr, c.want) || !strings.Contains(stdout, "1 kills in 1 rounds") {
				t.Errorf("status %d\n%s%s", code, stdout, stderr)
			}
		})
	}
	t.Run("fails by itself", func(t *testing.T) {
		t.Parallel()
		plugin := site.Input("broken.py", "class Handler:\n    def consume(self, event):\n        raise ValueError('no such column')\n")
		_, stderr, code := rehearse(t, harness.Binary(t, false), "--plugin", plugin, "--input", site.Input("b.txt", ""), "--system")
		if code != 1 || !strings.Contains(stderr, "job 1 fails without any kill") || !strings.Contains(stderr, "no such column") {
			t.Errorf("status %d\n%s", code, stderr)
		}
	})
}

// The check can fail: each guarantee that is broken in a build made for that is
// found out, where it is broken, as what it is.
func TestDrillFindsBrokenGuarantees(t *testing.T) {
	t.Parallel()
	cases := map[crashpoint.Mutation]struct{ load, at, want string }{
		crashpoint.SealUnsynced:      {"single", "link.send.after#1", "EARLY: a staged file was called complete before it was synced"},
		crashpoint.PublishUnsealed:   {"single", "sink.publish.after#1", "EARLY: single_output_1.parquet has its final name"},
		crashpoint.AnswerUncommitted: {"single", "link.send.after#2", "EARLY: the Sentinel has a receipt of job 1, and the journal no result"},
		crashpoint.DuplicateRuns:     {"single", "guest.frame.after#2", "DOUBLED: job 1 was taken on"},
		crashpoint.StagedStays:       {"single", "sink.write.after#2", "LEFT OVER: staged file"},
		crashpoint.ResumeRepeats:     {"single", "sink.seal.after#1", "DOUBLED: single_output_1.parquet: "},
		crashpoint.OrphanStays:       {"two-sinks", "sink.write.after#2", "LEFT OVER: process"},
		crashpoint.ReceiptForgotten:  {"single", "link.send.before#2", "LOST: the journal calls the receipt of job 1 confirmed"},
	}
	for _, mutation := range crashpoint.Mutations {
		c, planned := cases[mutation]
		if !planned {
			t.Errorf("no drill for %s", mutation)
		}
		t.Run(string(mutation), func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := rehearse(t, harness.Mutant(t), "--load", c.load, "--at", c.at, "--lanes", "1", "--warm-guests", "off", "--reattach", "0", "--break", string(mutation))
			if code != 1 || !strings.Contains(stdout, c.want) {
				t.Errorf("status %d, want 1 and %q\n%s%s", code, c.want, stdout, stderr)
			}
		})
	}
}
