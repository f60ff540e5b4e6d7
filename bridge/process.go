package bridge

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"time"
)

// MarkerVariable is the environment variable that a guest and all its
// descendants carry. Its value is the Marker of the guest's [Process].
const MarkerVariable = "CASPARIAN_GUEST"

// Process names a guest's root process so that it can be recognised later, also
// by another worker process after a restart.
type Process struct {
	PID       int
	StartTime uint64 // only compared: pid and start time together are never reused
	Marker    string // random value of MarkerVariable in the whole tree; "" = unknown
}

// process is one line of the operating system's process table.
type process struct {
	pid, parent    int
	group, session int // 0 where the platform does not tell
	start          uint64
	ended          bool // a zombie: it holds its pid, and runs nothing
}

// Alive tells whether the root process itself still runs.
func Alive(p Process) bool {
	table, err := processTable()
	if err != nil {
		return false
	}
	for _, entry := range table {
		if entry.pid == p.PID {
			return entry.start == p.StartTime && !entry.ended
		}
	}
	return false
}

// KillTree kills what is left of a guest: its root, the root's process group,
// session and descendants, and (Linux) every process that carries its marker,
// which finds daemons that left the session. It kills in rounds until nothing
// is left, so that a process which forks meanwhile is found in the next round.
//
// A pid that was given to another process since is left alone: the root counts
// only when its start time agrees. After grace it gives up with a [*TreeError].
//
// Not found: a process that left the session, lost its parent and was started
// with an environment that lacks the marker.
func KillTree(p Process, grace time.Duration) error { return killTree(p, grace, nil) }

// leastRounds are made also when the grace is over: a machine that stood still meanwhile
// has not looked.
const leastRounds = 20

// killTree is KillTree without the trees of these processes.
func killTree(p Process, grace time.Duration, spared map[int]bool) error {
	return killTreeIn(processTable, p, grace, spared)
}

// killTreeIn is killTree that gets its first look at the process table from first.
func killTreeIn(first func() ([]process, error), p Process, grace time.Duration, spared map[int]bool) error {
	deadline := time.Now().Add(grace)
	pause := time.Millisecond
	rootSeen := false
	// A process that is being taken apart has no environment any more, and has not
	// ended yet: whoever was found stays a member until it is gone.
	found := make(map[int]uint64)
	read := first
	for round := 1; ; round++ {
		table, err := read()
		if err != nil {
			return err
		}
		read = processTable
		rootSeen = rootIn(p, table, rootSeen)
		living := treeOf(p, table, rootSeen, found, spared)
		if len(living) == 0 {
			return nil
		}
		for _, member := range living {
			found[member.pid] = member.start
			killProcess(member)
		}
		if round > leastRounds && time.Now().After(deadline) {
			var pids []int
			for _, member := range living {
				pids = append(pids, member.pid)
			}
			return &TreeError{PIDs: pids}
		}
		// The kernel needs a moment to take processes apart; there is nothing to
		// wait on for those that are not our children.
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// rootIn tells whether the root's pid, as a group and session id, still means
// the guest. Once the root was seen it does until another process has the pid:
// the kernel gives out no pid that is the id of a living group or session.
func rootIn(p Process, table []process, seen bool) bool {
	for _, entry := range table {
		if entry.pid == p.PID {
			return entry.start == p.StartTime
		}
	}
	return seen
}

// treeOf gives the living processes that belong to a guest, less the trees of those
// spared. found has the start times of those that were known to before.
func treeOf(p Process, table []process, rootSeen bool, found map[int]uint64, spared map[int]bool) []process {
	self := os.Getpid()
	member := make(map[int]bool)
	for _, entry := range table {
		if entry.pid == self || entry.pid <= 1 || spared[entry.pid] {
			continue
		}
		inSession := rootSeen && (entry.pid == p.PID || entry.session == p.PID || entry.group == p.PID)
		if start, known := found[entry.pid]; known && start == entry.start {
			member[entry.pid] = true
			continue
		}
		if inSession || p.Marker != "" && !older(entry.start, p.StartTime) && carriesMarker(entry.pid, p.Marker) {
			member[entry.pid] = true
		}
	}
	// Descendants of all members, however many steps away. A child mostly has a higher
	// pid than its parent, and stands behind it: one pass finds them, one that is all.
	for known := -1; known != len(member); {
		known = len(member)
		for _, entry := range table {
			if member[entry.parent] && !member[entry.pid] && entry.pid != self && !spared[entry.pid] {
				member[entry.pid] = true
			}
		}
	}
	var living []process
	for _, entry := range table {
		if member[entry.pid] && !entry.ended {
			living = append(living, entry)
		}
	}
	return living
}

// older tells whether a process started before the guest, and so cannot be of its
// tree: looking into the environment of all processes would cost more than the rest.
func older(start, guest uint64) bool { return guest != 0 && age(start) < age(guest) }

// belongsTo tells whether a pid, zombie or not, is in the guest's tree.
func belongsTo(p Process, pid int) bool {
	if pid == p.PID {
		return true
	}
	table, err := processTable()
	if err != nil {
		return false
	}
	for _, entry := range treeOf(p, table, rootIn(p, table, false), nil, nil) {
		if entry.pid == pid {
			return true
		}
	}
	return false
}

// randomName gives 128 random bits in hex: nobody guesses it.
func randomName() string {
	var raw [16]byte
	// crypto/rand.Read never returns an error: without entropy the program ends.
	_, _ = rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}
