package actors

import (
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/journal"
)

// TestAReceiptThatNobodyTakes is sent, given up when it has been owed for too long,
// kept, sent again when the Sentinel asks for the job, and confirmed after all.
func TestAReceiptThatNobodyTakes(t *testing.T) {
	folder := t.TempDir()
	j, err := journal.Open(folder, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	spec := journal.JobSpec{Plugin: "sales", EnvHash: "system", Source: journal.DigestOf([]byte("class Handler: pass"))}
	for _, event := range []journal.Event{
		journal.JobAccepted{JobID: 1, Generation: 1, Spec: spec, Origin: journal.OriginNew},
		journal.JobConcluded{JobID: 1, Generation: 1, At: time.Now().Add(-8 * 24 * time.Hour),
			Receipt: journal.Receipt{Status: journal.Failed, Error: "raised"}},
	} {
		if _, err := j.Append(t.Context(), event, []byte("class Handler: pass")); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}

	d := openDesk(t, folder, 1)
	phase := func(want journal.Phase) {
		t.Helper()
		deadline := time.After(patience)
		for {
			changed := d.journal.Changed()
			if job, _ := d.journal.State().Job(1); job.Phase == want {
				return
			}
			select {
			case <-changed:
			case <-deadline:
				job, _ := d.journal.State().Job(1)
				t.Fatalf("the job is %s, want %s", job.Phase, want)
			}
		}
	}
	d.tell(Connected{Connection: 1})
	d.receipt(1, journal.Failed) // however old it is, it goes out once
	phase(journal.Undelivered)
	d.tell(Disconnected{Connection: 1})
	d.tell(Connected{Connection: 2})
	d.dispatch(2, 1, spec)
	d.receipt(1, journal.Failed)
	d.dispatch(2, 2, spec) // the repeated one took no turn,
	d.dispatch(2, 3, spec) // so it is this one that proves the receipt taken
	phase(journal.Confirmed)
}
