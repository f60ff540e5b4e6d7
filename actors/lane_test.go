package actors

import (
	"errors"
	"testing"

	"github.com/casparian-flow/casparian-worker/journal"
)

// connect opens connection 10*n on lane n, for all lanes.
func (d *desk) connect() {
	d.Helper()
	for lane := range d.outboxes {
		d.tell(Connected{Lane: uint32(lane), Connection: connectionOf(lane)})
	}
}

func connectionOf(lane int) uint64 { return uint64(lane+1) * 10 }

// nothing fails the test when a lane has a letter.
func (d *desk) nothing(lane uint32, why string) {
	d.Helper()
	d.settle()
	select {
	case letter := <-d.outboxes[lane]:
		d.Fatalf("lane %d sends %+v, though %s", lane, letter, why)
	default:
	}
}

// activity is what the next heartbeat of a lane will say.
func (d *desk) activity(lane uint32) Activity {
	d.Helper()
	d.settle()
	return *d.shown[lane].Load()
}

func TestAReceiptLeavesOnTheLaneThatBroughtItsJob(t *testing.T) {
	d := openLanes(t, t.TempDir(), 4, 3)
	d.connect()
	d.dispatchOn(2, 30, 7, someSpec)
	d.provide(nil)
	seven := d.started()
	d.dispatchOn(1, 20, 8, someSpec)
	eight := d.started()
	if a := d.activity(0); a.Busy {
		t.Errorf("lane 0 has nothing to do and shows %+v", a)
	}
	if a := d.activity(2); !a.Busy || a.CurrentJob != 7 || a.Heard != 1 {
		t.Errorf("lane 2 runs job 7 and shows %+v", a)
	}
	d.succeed(eight)
	d.receiptOn(1, 8, journal.Success)
	if a := d.activity(1); a.Busy {
		t.Errorf("lane 1 has sent its receipt and shows %+v", a)
	}
	// What comes on another lane proves nothing.
	d.dispatchOn(0, 10, 9, someSpec)
	nine := d.started()
	if job, _ := d.journal.State().Job(8); job.Phase != journal.Concluded || job.Lane != 1 {
		t.Errorf("job 8 is %s on lane %d", job.Phase, job.Lane)
	}
	d.succeed(seven)
	d.receiptOn(2, 7, journal.Success)
	d.succeed(nine)
	d.receiptOn(0, 9, journal.Success)
	d.dispatchOn(1, 20, 10, someSpec)
	d.started()
	if job, _ := d.journal.State().Job(8); job.Phase != journal.Confirmed {
		t.Errorf("job 8 is %s after the next dispatch on its lane", job.Phase)
	}
}

func TestALaneThatIsCutLeavesTheOthersAlone(t *testing.T) {
	d := openLanes(t, t.TempDir(), 2, 2)
	d.connect()
	d.dispatchOn(0, 10, 1, someSpec)
	d.provide(nil)
	one := d.started()
	d.dispatchOn(1, 20, 2, someSpec)
	two := d.started()
	d.tell(Disconnected{Lane: 0, Connection: 10})
	d.succeed(one)
	d.succeed(two)
	d.receiptOn(1, 2, journal.Success)
	d.nothing(1, "the receipt of job 1 is lane 0's")
	d.tell(Connected{Lane: 0, Connection: 11})
	if r := d.receiptOn(0, 1, journal.Success); r.Connection != 11 {
		t.Errorf("sent on connection %d", r.Connection)
	}
	d.nothing(0, "nothing else is owed there")
}

// The Sentinel lost sight of a job and gives it to another lane. It is not run
// again, and both lanes are set free.
func TestTheSameJobOnAnotherLane(t *testing.T) {
	t.Run("while it runs", func(t *testing.T) {
		d := openLanes(t, t.TempDir(), 2, 2)
		d.connect()
		d.dispatchOn(0, 10, 1, someSpec)
		d.provide(nil)
		a := d.started()
		d.dispatchOn(1, 20, 1, someSpec)
		d.quiet("the job runs already")
		if a := d.activity(1); !a.Busy || a.CurrentJob != 1 {
			t.Errorf("lane 1 was given job 1 and shows %+v", a)
		}
		d.succeed(a)
		d.receiptOn(0, 1, journal.Success)
		// Lane 0 proves it, but lane 1 still needs its receipt.
		d.dispatchOn(0, 10, 2, someSpec)
		d.started()
		d.receiptOn(1, 1, journal.Success)
		d.nothing(0, "both have it")
		d.nothing(1, "both have it")
	})
	t.Run("after its end", func(t *testing.T) {
		d := openLanes(t, t.TempDir(), 2, 2)
		d.connect()
		d.dispatchOn(0, 10, 1, someSpec)
		d.provide(nil)
		d.succeed(d.started())
		d.receiptOn(0, 1, journal.Success)
		d.dispatchOn(1, 20, 1, someSpec)
		d.receiptOn(1, 1, journal.Success)
		d.quiet("the receipt may have been lost, the job is done")
	})
	t.Run("with other content", func(t *testing.T) {
		d := openLanes(t, t.TempDir(), 2, 2)
		d.connect()
		d.dispatchOn(0, 10, 1, someSpec)
		d.provide(nil)
		a := d.started()
		other := someSpec
		other.FilePath = "/in/b.csv"
		d.dispatchOn(1, 20, 1, other)
		d.stopped(a, errSuperseded)
		d.succeed(d.started())
		if r := d.receiptOn(1, 1, journal.Success); r.Generation != 2 {
			t.Errorf("the receipt is of generation %d", r.Generation)
		}
		// Lane 0 is busy with job 1 in the Sentinel's eyes and must be set free, too.
		d.receiptOn(0, 1, journal.Success)
	})
}

// A restart with fewer lanes: what the lanes that were forgotten owe goes out on the
// first.
func TestTheFirstLaneStandsInForForgottenOnes(t *testing.T) {
	folder := t.TempDir()
	d := openLanes(t, folder, 2, 2)
	d.connect()
	d.dispatchOn(1, 20, 1, someSpec)
	d.provide(nil)
	d.succeed(d.started())
	d.settle()
	d.close()

	again := openLanes(t, folder, 2, 1)
	again.tell(Connected{Lane: 0, Connection: 100})
	again.receiptOn(0, 1, journal.Success)
}

func TestNewsOfAnEnvironmentGoesToTheLaneThatAsked(t *testing.T) {
	d := openLanes(t, t.TempDir(), 2, 2)
	d.connect()
	d.dispatchOn(0, 10, 1, someSpec)
	d.provide(nil)
	d.started()
	d.tell(EnvironmentAsked{Lane: 1, Connection: 20, EnvHash: "bad", Lockfile: "x"})
	wish := receiveFrom(d, d.coordinator.environments.mailbox, "the wish of the PREPARE_ENV")
	if _, err := d.journal.Append(t.Context(), journal.EnvironmentFailed{EnvHash: wish.envHash, Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	give(d, d.coordinator.environments.answers, environmentAnswer{envHash: wish.envHash, err: errors.New("no")})
	// A job runs, but not on this lane: the ERR sets nobody free who is not.
	if letter := d.letterOn(1); letter.Trouble == nil {
		t.Errorf("got %+v, want the ERR", letter)
	}
	d.nothing(0, "lane 1 asked")
}

// The receipt and a repeated DISPATCH cross on the wire: the Sentinel had not read
// the one when it sent the other. Nothing runs twice.
func TestADispatchThatCrossesItsReceipt(t *testing.T) {
	begin := func(t *testing.T) *desk {
		d := openLanes(t, t.TempDir(), 1, 1)
		d.connect()
		d.dispatch(10, 1, someSpec)
		d.provide(nil)
		d.succeed(d.started())
		return d
	}
	repeat := func(d *desk, reached uint64) {
		d.tell(Dispatched{Connection: 10, Reached: reached, JobID: 1, Spec: someSpec, Source: pluginSource})
	}
	t.Run("on its way", func(t *testing.T) {
		d := begin(t)
		d.receipt(1, journal.Success)
		repeat(d, d.sent[0]-1)
		d.receipt(1, journal.Success)
		d.quiet("the receipt was on its way")

		// Now it has arrived, and the job is asked for on purpose.
		repeat(d, d.sent[0])
		if a := d.started(); a.attempt.Generation != 2 {
			t.Errorf("generation %d", a.attempt.Generation)
		}
	})
	t.Run("not even written", func(t *testing.T) {
		d := begin(t)
		letter := receiveFrom(d, d.outboxes[0], "the receipt")
		repeat(d, 0)
		d.tell(Posted{Connection: 10, Number: 1, Letter: letter})
		d.nothing(0, "the receipt went out behind the repeated DISPATCH")
		d.quiet("the receipt was on its way")
	})
	t.Run("left over from the connection before, with another job given", func(t *testing.T) {
		d := begin(t)
		d.receipt(1, journal.Success)
		d.tell(Disconnected{Connection: 10})
		d.tell(Connected{Connection: 11})
		d.receipt(1, journal.Success)
		// IDENTIFY has set the lane free: job 2 is given, and job 1 repeated, before
		// the receipt of job 1 is read. It lies in the Sentinel's queue already.
		d.sent[0] = 9
		d.dispatch(11, 2, someSpec)
		d.dispatch(11, 1, someSpec)
		d.receipt(1, journal.Success)
		if job, _ := d.journal.State().Job(1); job.Phase != journal.Concluded || job.Generation != 1 {
			t.Errorf("job 1 is %s in generation %d", job.Phase, job.Generation)
		}
	})
	t.Run("until another job proves that it was read", func(t *testing.T) {
		d := begin(t)
		d.receipt(1, journal.Success)
		d.dispatch(10, 2, someSpec)
		d.succeed(d.started())
		d.receipt(2, journal.Success)
		repeat(d, 0)
		if a := d.started(); a.attempt.JobID != 1 || a.attempt.Generation != 2 {
			t.Errorf("got %+v, want a retry of job 1", a.attempt)
		}
	})
}
