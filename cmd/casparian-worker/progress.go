package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/casparian-flow/casparian-worker/ops"
)

// progressLine shows a person what goes on: one line that is written over on a
// terminal, a line now and then elsewhere.
type progressLine struct {
	out      io.Writer
	terminal bool
	sparing  bool // elsewhere than on a terminal, show passing lines now and then only
	shown    time.Time
	writing  sync.Mutex
	stop     chan struct{}
	done     sync.WaitGroup
}

// linesApart is the time between two passing lines where they stay.
const linesApart = 5 * time.Second

func newProgressLine(out io.Writer) *progressLine {
	p := &progressLine{out: out, stop: make(chan struct{})}
	if file, ok := out.(*os.File); ok {
		info, err := file.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// hear takes a step of the local run.
func (p *progressLine) hear(step ops.LocalProgress) {
	if step.Note != "" {
		p.show(step.Note, true)
	}
	if step.Daemon != nil {
		p.done.Go(func() { p.follow(step.Daemon) })
	}
}

func (p *progressLine) follow(daemon *ops.Daemon) {
	every := linesApart
	if p.terminal {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	began := time.Now()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		var rows, bytes int64
		running := daemon.Monitor.Running()
		for _, job := range running {
			rows, bytes = rows+job.Rows.Load(), bytes+job.Bytes.Load()
		}
		concluded, _, _ := daemon.Monitor.Counts()
		seconds := time.Since(began).Seconds()
		p.show(fmt.Sprintf("%d running, %d done: %d rows, %s, %.0f rows/s",
			len(running), concluded, rows, ops.Bytes(bytes), float64(rows)/seconds), false)
	}
}

// show writes a line; a passing one is written over by the next on a terminal.
func (p *progressLine) show(text string, lasting bool) {
	text = strings.TrimRight(text, "\r\n ")
	p.writing.Lock()
	defer p.writing.Unlock()
	if !p.terminal {
		if p.sparing && !lasting && time.Since(p.shown) < linesApart {
			return
		}
		p.shown = time.Now()
		fmt.Fprintln(p.out, text)
		return
	}
	ending := ""
	if lasting {
		ending = "\n"
	}
	fmt.Fprintf(p.out, "\r\x1b[K%s%s", text, ending)
}

// end clears the line. It waits until nothing more is written.
func (p *progressLine) end() {
	close(p.stop)
	p.done.Wait()
	if p.terminal {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
