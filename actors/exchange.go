package actors

// exchange follows what went back and forth on one connection of a lane, to know
// which receipts the Sentinel must have taken. It never acknowledges one. But it
// gives an identity one job at a time: a first after IDENTIFY, and each further one
// only after it has read what sets that identity free, a CONCLUDE or an ERR; and it
// reads in order. So the n-th job given on a connection proves that the first n-1
// such messages sent on it were taken.
//
// A Sentinel that gives out a job before it can have read enough of them does not
// keep to one at a time. Its dispatches prove nothing, from then on.
//
// Messages that we send on a connection are numbered from 1. With a DISPATCH comes
// the number of the last one that had reached the Sentinel's socket before the
// DISPATCH left it: what is behind that cannot have been read by whoever sent it.
type exchange struct {
	connection uint64
	given      int       // jobs given in their turn
	freed      int       // messages sent that set the lane free
	taken      int       // of those, proven taken
	waiting    []freeing // of those, not proven, in order
	greedy     bool      // does not keep to one job at a time

	// open has the jobs that were dispatched on this connection and got no receipt
	// since: in the Sentinel's eyes the lane is busy with them.
	open map[uint64]bool
	// sent has the receipts that went out on this connection, by job.
	sent map[uint64]answer
}

// freeing is a message sent that sets the lane free in the Sentinel's eyes.
type freeing struct {
	number  uint64  // of the message on the connection
	receipt receipt // zero for an ERR
}

// receipt names the receipt of one generation of a job.
type receipt struct {
	job        uint64
	generation uint32
}

// answer is a receipt that went out.
type answer struct {
	number uint64 // of the message on the connection
	asked  bool   // the job had been dispatched on this connection
}

func newExchange(connection uint64) *exchange {
	return &exchange{connection: connection, open: map[uint64]bool{}, sent: map[uint64]answer{}}
}

// meant reports that a DISPATCH asks on purpose for a job that it knows the result
// of: the job was dispatched on this very connection before, and its receipt had
// reached the Sentinel by then. A receipt that was still on its way crosses with the
// DISPATCH, and one left over from an earlier connection may wait unread behind it.
func (x *exchange) meant(job, reached uint64) bool {
	a, ok := x.sent[job]
	return ok && a.asked && a.number <= reached && !x.open[job]
}

// dispatched notes a DISPATCH. inTurn is false for one that repeats a job in hand,
// or one whose receipt may be lost: nobody had to be free for that. It returns the
// receipts that the DISPATCH proves taken.
func (x *exchange) dispatched(job, reached uint64, inTurn bool) (proven []receipt) {
	x.open[job] = true
	if !inTurn {
		return nil
	}
	x.given++
	if x.given > x.freed+1 {
		x.greedy, x.waiting = true, nil
	}
	for x.taken < x.given-1 && len(x.waiting) > 0 && x.waiting[0].number <= reached {
		if r := x.waiting[0].receipt; r != (receipt{}) {
			proven = append(proven, r)
		}
		x.waiting = x.waiting[1:]
		x.taken++
	}
	return proven
}

// posted notes that a message went out that sets the lane free: a receipt, or an
// ERR, with the zero receipt.
func (x *exchange) posted(r receipt, number uint64) {
	x.freed++
	if r != (receipt{}) {
		x.sent[r.job] = answer{number: number, asked: x.open[r.job]}
		delete(x.open, r.job)
	}
	if !x.greedy {
		x.waiting = append(x.waiting, freeing{number, r})
	}
}

// forget lets go of a job that is confirmed, so that the map stays as small as the
// number of receipts owed.
func (x *exchange) forget(job uint64) { delete(x.sent, job) }
