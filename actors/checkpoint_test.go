package actors

import (
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/bridge"
)

// A fast guest's row groups are not made durable one by one: the next checkpoint
// comes when it is time, or when much has come meanwhile.
func TestCheckpointsComeFromTimeToTime(t *testing.T) {
	d := newDesktop(t, twoSinks...)
	d.writer.every = time.Hour
	r := d.begin()
	r.giveAll(0, 20)
	much := batchNumber(20, "")
	much.Bytes = checkpointBytes
	r.give(much)
	if c := r.durable(1); c.Batches != 21 {
		t.Errorf("the first checkpoint is of %d batches, want 21: the one that made it much", c.Batches)
	}
	r.giveAll(21, 40)
	numbers := r.succeed()
	wantNumbers(t, "even", numbers["even"], expected("even", 40))
	wantNumbers(t, "odd", numbers["odd"], expected("odd", 40))
	if n := d.events("output-checkpointed"); n != 1 {
		t.Errorf("%d checkpoints, want 1", n)
	}
}

// What is complete becomes durable in time, also when the guest gives nothing more.
func TestACheckpointComesWhenTheGuestIsSilent(t *testing.T) {
	d := newDesktop(t, twoSinks...)
	d.writer.every = 100 * time.Millisecond
	r := d.begin()
	r.giveAll(0, 10) // the seventh completes the first row group of the second output
	if c := r.durable(7); len(c.Outputs) != 2 {
		t.Errorf("%d outputs are durable, want 2", len(c.Outputs))
	}
	r.succeed()
}

// What a quick guest let go of becomes durable once it is silent, also when it is not
// enough for a row group: the guest can be gone on with then.
func TestAllIsDurableWhenAQuickGuestIsSilent(t *testing.T) {
	d := newDesktop(t, twoSinks...)
	d.writer.every = 100 * time.Millisecond
	r := d.begin()
	r.give(batchNumber(0, ""))
	much := batchNumber(1, "")
	much.Bytes = bridge.KeepLittle
	r.give(much)
	r.awaitWhole()
	if behind := r.job().Behind(); behind.Batches != 2 {
		t.Errorf("the guest can be gone on with behind batch %d, want 2", behind.Batches)
	}
	r.giveAll(2, 20)
	numbers := r.succeed()
	wantNumbers(t, "even", numbers["even"], expected("even", 20))
	wantNumbers(t, "odd", numbers["odd"], expected("odd", 20))
}
