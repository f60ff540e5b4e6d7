package bridge

import (
	"os"
	"testing"
)

func TestPeakMemory(t *testing.T) {
	if peak := peakMemory(os.Getpid()); peak < 1<<20 {
		t.Errorf("this process had %d bytes", peak)
	}
	if peak := peakMemory(-1); peak != 0 {
		t.Errorf("a process that is not there had %d bytes", peak)
	}
}
