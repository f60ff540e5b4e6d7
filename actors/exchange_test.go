package actors

import (
	"slices"
	"testing"
)

func TestADispatchProvesTheReceiptsBeforeIt(t *testing.T) {
	one, two, old := receipt{1, 1}, receipt{2, 1}, receipt{9, 1}

	t.Run("one job at a time", func(t *testing.T) {
		x := newExchange(1)
		expectProven(t, x, 1)
		x.posted(one)
		expectProven(t, x, 2, one)
		x.posted(two)
		expectProven(t, x, 3, two)
	})
	t.Run("the first dispatch after IDENTIFY proves nothing of a receipt sent again", func(t *testing.T) {
		x := newExchange(1)
		x.posted(old) // left over from the connection before
		expectProven(t, x, 1)
		x.posted(one)
		expectProven(t, x, 2, old)
	})
	t.Run("the receipt sent again sets the worker free while a job runs", func(t *testing.T) {
		x := newExchange(1)
		x.posted(old)
		expectProven(t, x, 1)
		expectProven(t, x, 2, old)
	})
	t.Run("a Sentinel that gives out jobs all at once proves nothing", func(t *testing.T) {
		x := newExchange(1)
		for job := uint64(1); job <= 10; job++ {
			expectProven(t, x, job)
		}
		for job := uint64(1); job <= 10; job++ {
			x.posted(receipt{job, 1})
		}
		expectProven(t, x, 11)
	})
	t.Run("answered and asked for again on the same connection", func(t *testing.T) {
		x := newExchange(1)
		if _, meant := x.dispatched(5); meant {
			t.Error("meant at the first dispatch")
		}
		if _, meant := x.dispatched(5); meant {
			t.Error("meant before the receipt went out")
		}
		x.posted(receipt{5, 1})
		if _, meant := x.dispatched(5); !meant {
			t.Error("not meant after the receipt went out")
		}
		if _, meant := x.dispatched(5); meant {
			t.Error("meant while the retry is in hand")
		}
	})
	t.Run("a receipt sent again on a new connection is no answer to a dispatch on it", func(t *testing.T) {
		x := newExchange(2)
		x.posted(receipt{5, 1})
		if _, meant := x.dispatched(5); meant {
			t.Error("meant, though the Sentinel may not have read the receipt yet")
		}
	})
}

func expectProven(t *testing.T, x *exchange, job uint64, want ...receipt) {
	t.Helper()
	if got, _ := x.dispatched(job); !slices.Equal(got, want) {
		t.Errorf("the dispatch of job %d proves %v, want %v", job, got, want)
	}
}
