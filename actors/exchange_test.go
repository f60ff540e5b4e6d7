package actors

import (
	"slices"
	"testing"
)

func TestADispatchProvesTheReceiptsBeforeIt(t *testing.T) {
	one, two, old := receipt{1, 1}, receipt{2, 1}, receipt{9, 1}

	t.Run("one job at a time", func(t *testing.T) {
		x := newExchange(1)
		expectProven(t, x, 1, 0)
		x.posted(one, 1)
		expectProven(t, x, 2, 1, one)
		x.posted(two, 2)
		expectProven(t, x, 3, 2, two)
	})
	t.Run("the first dispatch after IDENTIFY proves nothing of a receipt sent again", func(t *testing.T) {
		x := newExchange(1)
		x.posted(old, 1) // left over from the connection before
		expectProven(t, x, 1, 1)
		x.posted(one, 2)
		expectProven(t, x, 2, 2, old)
	})
	t.Run("the receipt sent again sets the worker free while a job runs", func(t *testing.T) {
		x := newExchange(1)
		x.posted(old, 1)
		expectProven(t, x, 1, 1)
		expectProven(t, x, 2, 1, old)
	})
	t.Run("an ERR sets the lane free as well, so the receipt behind it is not proven", func(t *testing.T) {
		x := newExchange(1)
		expectProven(t, x, 1, 0)
		x.posted(receipt{}, 1)
		x.posted(one, 2)
		expectProven(t, x, 2, 2)
		expectProven(t, x, 3, 2, one)
	})
	t.Run("what had not reached the Sentinel yet is not proven", func(t *testing.T) {
		x := newExchange(1)
		expectProven(t, x, 1, 0)
		x.posted(one, 1)
		expectProven(t, x, 2, 0)
		x.posted(two, 2)
		expectProven(t, x, 3, 2, one, two)
	})
	t.Run("a repeated dispatch is nobody's turn and proves nothing", func(t *testing.T) {
		x := newExchange(1)
		x.posted(old, 1)
		expectProven(t, x, 1, 1)
		if proven := x.dispatched(9, 1, false); proven != nil {
			t.Errorf("proves %v", proven)
		}
		x.posted(old, 2)
		expectProven(t, x, 2, 2, old)
	})
	t.Run("a Sentinel that gives out jobs all at once proves nothing", func(t *testing.T) {
		x := newExchange(1)
		for job := uint64(1); job <= 10; job++ {
			expectProven(t, x, job, 0)
		}
		for job := uint64(1); job <= 10; job++ {
			x.posted(receipt{job, 1}, job)
		}
		expectProven(t, x, 11, 10)
	})
}

func expectProven(t *testing.T, x *exchange, job, reached uint64, want ...receipt) {
	t.Helper()
	if got := x.dispatched(job, reached, true); !slices.Equal(got, want) {
		t.Errorf("the dispatch of job %d proves %v, want %v", job, got, want)
	}
}

func TestADispatchIsMeantWhenItsReceiptHadArrived(t *testing.T) {
	for name, c := range map[string]struct {
		before  func(x *exchange)
		reached uint64
		want    bool
	}{
		"the first dispatch": {func(x *exchange) {}, 9, false},
		"in hand": {func(x *exchange) {
			x.dispatched(5, 0, true)
		}, 9, false},
		"answered": {func(x *exchange) {
			x.dispatched(5, 0, true)
			x.posted(receipt{5, 1}, 3)
		}, 3, true},
		"answered, and the receipt was on its way": {func(x *exchange) {
			x.dispatched(5, 0, true)
			x.posted(receipt{5, 1}, 3)
		}, 2, false},
		"the retry is in hand": {func(x *exchange) {
			x.dispatched(5, 0, true)
			x.posted(receipt{5, 1}, 3)
			x.dispatched(5, 3, true)
		}, 3, false},
		"a receipt sent again on a new connection, which may wait there unread": {func(x *exchange) {
			x.posted(receipt{5, 1}, 1)
		}, 1, false},
		"answered again after that": {func(x *exchange) {
			x.posted(receipt{5, 1}, 1)
			x.dispatched(5, 1, false)
			x.posted(receipt{5, 1}, 2)
		}, 2, true},
		"another job's receipt": {func(x *exchange) {
			x.dispatched(6, 0, true)
			x.posted(receipt{6, 1}, 1)
		}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := newExchange(1)
			c.before(x)
			if got := x.meant(5, c.reached); got != c.want {
				t.Errorf("meant: %v, want %v", got, c.want)
			}
		})
	}
}
