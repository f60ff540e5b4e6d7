package actors

import (
	"sync"

	"github.com/casparian-flow/casparian-worker/journal"
)

// Monitor shows what the worker is doing to whoever wants to look: the status
// page, the progress line. It decides nothing.
type Monitor struct {
	mu        sync.Mutex
	running   map[uint64]*Progress
	concludes uint64
	failures  uint64
	receipts  uint64
	holding   string
}

// NewMonitor makes an empty monitor.
func NewMonitor() *Monitor { return &Monitor{running: map[uint64]*Progress{}} }

// Running lists the attempts under way, in no order.
func (m *Monitor) Running() []*Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := make([]*Progress, 0, len(m.running))
	for _, p := range m.running {
		list = append(list, p)
	}
	return list
}

// Counts gives the totals since the process started: jobs concluded, those of
// them that failed, receipts sent.
func (m *Monitor) Counts() (concluded, failed, receipts uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.concludes, m.failures, m.receipts
}

// Held says why no job starts, empty when nothing keeps them.
func (m *Monitor) Held() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.holding
}

func (m *Monitor) held(why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holding = why
}

func (m *Monitor) started(p *Progress) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.running[p.Job] = p
}

func (m *Monitor) ended(job uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.running, job)
}

func (m *Monitor) concluded(_ uint64, r *journal.Receipt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.concludes++
	if r.Status == journal.Failed {
		m.failures++
	}
}

func (m *Monitor) delivered(uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.receipts++
}
