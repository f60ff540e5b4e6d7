package actors

// exchange follows what went back and forth on one connection, to know which
// receipts the Sentinel must have taken. It never acknowledges one. But it gives
// an identity one job at a time: a first after IDENTIFY, and each further one
// only after it has read a CONCLUDE (or ERR) of that identity, and it reads in
// order. So the n-th DISPATCH on a connection proves that the first n-1 receipts
// sent on that connection were taken.
//
// A Sentinel that gives out a job before it can have read enough receipts does not
// keep to one at a time. Its dispatches prove nothing, from then on.
type exchange struct {
	connection uint64
	dispatches int
	sent       int       // receipts sent
	taken      int       // receipts proven
	waiting    []receipt // sent and not proven, in order
	greedy     bool      // does not keep to one job at a time
	// given and answered tell, by job id, what was dispatched on this connection
	// and whether its receipt went out on it after that.
	given    map[uint64]bool
	answered map[uint64]bool
}

// receipt names the receipt of one generation of a job.
type receipt struct {
	job        uint64
	generation uint32
}

func newExchange(connection uint64) *exchange {
	return &exchange{connection: connection, given: map[uint64]bool{}, answered: map[uint64]bool{}}
}

// dispatched notes a DISPATCH and returns the receipts that it proves taken, and
// whether the job had been given and answered on this connection before.
func (x *exchange) dispatched(job uint64) (proven []receipt, meant bool) {
	meant = x.given[job] && x.answered[job]
	x.given[job] = true
	delete(x.answered, job)
	x.dispatches++
	if x.dispatches > x.sent+1 {
		x.greedy, x.waiting = true, nil
	}
	if x.greedy {
		return nil, meant
	}
	if n := x.dispatches - 1 - x.taken; n > 0 {
		proven, x.waiting = x.waiting[:n], x.waiting[n:]
		x.taken += n
	}
	return proven, meant
}

// posted notes that a receipt went out.
func (x *exchange) posted(r receipt) {
	x.sent++
	x.answered[r.job] = true
	if !x.greedy {
		x.waiting = append(x.waiting, r)
	}
}

// forget lets go of a job that is confirmed, so that the maps stay as small as
// the number of jobs in hand.
func (x *exchange) forget(job uint64) {
	delete(x.given, job)
	delete(x.answered, job)
}
