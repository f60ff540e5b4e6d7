package drill

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/casparian-flow/casparian-worker/ops"
	"github.com/casparian-flow/casparian-worker/ops/crashpoint"
)

// roundVariable marks every process of a round: its value is the round's folder.
const roundVariable = "CASPARIAN_DRILL_ROUND"

// workerOptions are the options that a drill's workers take over from the drill's
// own configuration.
var workerOptions = []string{
	"venvs-dir", "reattach", "concurrency", "lanes", "uv", "python", "build-timeout", "warm-guests",
	"guest-shim", "guest-connect-timeout", "guest-silence-timeout", "job-timeout", "max-frame",
	"compression", "row-group-rows", "row-group-bytes",
}

// noHeartbeat is longer than most rounds: what comes by itself would make passings
// differ from run to run.
const noHeartbeat = "10m"

// process is one run of the worker's executable.
type process struct {
	cmd    *exec.Cmd
	trace  string // file
	log    string // file
	exited chan struct{}
}

// launch starts the n-th worker process of a round.
func (s *stage) launch(n int, k *Kill) (*process, error) {
	p := &process{
		trace:  filepath.Join(s.folder, fmt.Sprintf("trace-%d", n)),
		log:    filepath.Join(s.folder, fmt.Sprintf("worker-%d.log", n)),
		exited: make(chan struct{}),
	}
	script := crashpoint.Script{Trace: p.trace, Break: s.round.broken}
	if k != nil {
		script.Kill, script.Passing = k.Point, k.Passing
	}
	config := s.drill.Config
	if s.round.load.RowGroupRows > 0 {
		config.RowGroupRows = s.round.load.RowGroupRows
	}
	if s.round.rerun {
		config.Reattach = 0
	}
	p.cmd = exec.Command(s.drill.Worker,
		"--connect", s.server.Endpoint(), "--plugins", s.round.load.Name, "--worker-id", "drill",
		"--state-dir", s.state(), "--output", s.output())
	p.cmd.Env = append(inherited(), roundVariable+"="+s.folder, "TMPDIR="+s.temp(), crashpoint.Variable+"="+script.Encode())
	for _, flag := range workerOptions {
		variable := ops.VariableOf(flag)
		p.cmd.Env = append(p.cmd.Env, variable+"="+config.Value(variable))
	}
	p.cmd.Env = append(p.cmd.Env, ops.VariableOf("heartbeat")+"="+noHeartbeat, ops.VariableOf("checkpoint-every")+"=0")
	p.cmd.SysProcAttr = apart()
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own descriptor
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a worker: %w", err)
	}
	go func() {
		_ = p.cmd.Wait() // the status is read from ProcessState
		close(p.exited)
	}()
	return p, nil
}

// inherited is the drill's own environment without what would configure a worker.
func inherited() []string {
	var variables []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "CASPARIAN_") && !strings.HasPrefix(name, "BRIDGE_") && name != "TMPDIR" {
			variables = append(variables, variable)
		}
	}
	return variables
}

// kill ends the process as a crash would, and waits until it is gone.
func (p *process) kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return
	}
	<-p.exited
}

// killed reports whether a signal ended the process. It has ended.
func (p *process) killed() bool { return p.cmd.ProcessState.ExitCode() == -1 }

// complaint finds what no worker may write: the report of a panic, or of the race
// detector.
func (p *process) complaint() string {
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	for _, sign := range []string{"WARNING: DATA RACE", "\npanic: ", "\nfatal error: "} {
		if at := strings.Index("\n"+string(log), sign); at >= 0 {
			return firstLines(string(log)[max(0, at-1):], 40)
		}
	}
	return ""
}

func firstLines(text string, n int) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

// lastLines of a file, for a report.
func lastLines(path string, n int) string {
	text, _ := os.ReadFile(path)
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
