package crashpoint

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Variable is the environment variable that a drill gives a worker its [Script] in.
// Nothing else sets it.
const Variable = "CASPARIAN_DRILL"

// Script is what a drill wants of one process. The zero Script only makes the
// process count.
type Script struct {
	// Trace is a file that gets a line for every point passed, before the process
	// goes on: nanoseconds since 1970, a space, the point.
	Trace string `json:"trace,omitempty"`
	// Kill is where the process ends, at its Passing-th passing (from 1).
	Kill    Point `json:"kill,omitempty"`
	Passing int   `json:"passing,omitempty"`
	// Break is the guarantee to break; see [Broken].
	Break Mutation `json:"break,omitempty"`
}

// Encode gives the variable's value.
func (s Script) Encode() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic("crashpoint: " + err.Error()) // strings and a number
	}
	return string(text)
}

// armed is nil but in a drill.
var armed atomic.Pointer[run]

// run is a script being carried out.
type run struct {
	script Script
	die    func()

	mu     sync.Mutex
	trace  *os.File
	passed int // of script.Kill
}

// Arm reads the script from the environment. Without one nothing changes.
func Arm() error {
	text, given := os.LookupEnv(Variable)
	if !given {
		return nil
	}
	var script Script
	if err := json.Unmarshal([]byte(text), &script); err != nil {
		return fmt.Errorf("variable %s, which only a drill sets: %w", Variable, err)
	}
	r, err := prepare(script, die)
	if err != nil {
		return err
	}
	armed.Store(r)
	return nil
}

func prepare(script Script, die func()) (*run, error) {
	if script.Kill != "" && !Known(script.Kill) {
		return nil, fmt.Errorf("variable %s: there is no point %q", Variable, script.Kill)
	}
	r := &run{script: script, die: die}
	if script.Trace != "" {
		var err error
		if r.trace, err = os.OpenFile(script.Trace, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return nil, fmt.Errorf("the drill's trace: %w", err)
		}
	}
	return r, nil
}

// Reach passes a point. It does not return when the drill wants the process to end
// there.
func Reach(p Point) {
	if r := armed.Load(); r != nil {
		r.reach(p)
	}
}

func (r *run) reach(p Point) {
	// Held to the end: no other point is passed once this one is the last.
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trace != nil {
		line := strconv.AppendInt(nil, time.Now().UnixNano(), 10)
		line = append(append(append(line, ' '), p...), '\n')
		if _, err := r.trace.Write(line); err != nil {
			panic("crashpoint: the drill's trace cannot be written: " + err.Error())
		}
	}
	if p != r.script.Kill {
		return
	}
	if r.passed++; r.passed == r.script.Passing {
		r.die()
	}
}

// die ends the process as nothing can prevent: SIGKILL, or TerminateProcess.
func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic("crashpoint: the process cannot kill itself: " + err.Error())
	}
	select {} // it takes a moment
}
