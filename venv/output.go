package venv

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	tailLines  = 20   // kept of what a program printed
	lineLength = 2048 // bytes kept of one line
)

// output cuts what a program prints into clean lines, hands each on, and keeps
// the last ones. Memory is bounded whatever the program prints. It may be
// written to by several goroutines.
type output struct {
	progress func(line string) // may be nil

	mu      sync.Mutex
	partial []byte
	skip    bool // the rest of a line that was too long
	tail    []string
}

// Write never fails: a program must not fail on its output.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	written := len(p)
	for len(p) > 0 {
		end := bytes.IndexAny(p, "\n\r")
		piece := p
		if end >= 0 {
			piece = p[:end]
		}
		if room := lineLength - len(o.partial); !o.skip {
			o.partial = append(o.partial, piece[:min(room, len(piece))]...)
			o.skip = len(piece) > room
		}
		if end < 0 {
			break
		}
		o.endLine()
		p = p[end+1:]
	}
	return written, nil
}

// lines gives the last lines, the unfinished one among them.
func (o *output) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.endLine()
	return slices.Clone(o.tail)
}

func (o *output) endLine() {
	line := clean(o.partial)
	o.partial, o.skip = o.partial[:0], false
	if line == "" {
		return
	}
	if len(o.tail) == tailLines {
		o.tail = append(o.tail[:0], o.tail[1:]...)
	}
	o.tail = append(o.tail, line)
	if o.progress != nil {
		o.progress(line)
	}
}

var (
	terminalCode = regexp.MustCompile("\x1b(\\[[0-9;?]*[A-Za-z]|\\][^\a\x1b]*(\a|\x1b\\\\))")
	credentials  = regexp.MustCompile(`://[^/@\s]+@`)
)

// clean makes a line fit for a journal and a message: valid UTF-8 without
// terminal codes, and without the password of a package index.
func clean(line []byte) string {
	text := terminalCode.ReplaceAllString(string(line), "")
	text = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '?'
		case r == '\t':
			return ' '
		case r < ' ' || r == 0x7f:
			return -1
		}
		return r
	}, text)
	return strings.TrimRight(credentials.ReplaceAllString(text, "://****@"), " ")
}
