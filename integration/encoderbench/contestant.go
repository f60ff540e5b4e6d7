package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// A contestant is a process of its own that loads a table and then waits. For
// each line on its standard input it encodes the table once, and answers with
// one line:
//
//	encode      -> CPU seconds, wall seconds, bytes; what was encoded is dropped
//	write PATH  -> the same, and what was encoded is in the file
//
// It ends with its input.

const (
	encodeQuestion = "encode"
	writeQuestion  = "write "
)

// askTimeout bounds the loading of a table and each encoding of it.
const askTimeout = 5 * time.Minute

// The names of the contestants, as in the report.
const (
	ownName       = "own"
	ownTwoName    = "own, 2 workers"
	pqarrowName   = "pqarrow, tuned"
	pyarrowName   = "pyarrow"
	pyarrowByHand = "pyarrow, tuned"
	rustName      = "Rust"
)

// programs is where the programs of the contestants are.
type programs struct {
	self   string // this program
	python string // an interpreter with pyarrow
	source string // the folder of this program's source
	rust   string // the built program; empty: Rust takes no part
}

// command is how to start one contestant on a table file.
func (p programs) command(ctx context.Context, name string, t *table, path, codec string) (*exec.Cmd, error) {
	chosen, err := json.Marshal(t.tuning())
	if err != nil {
		return nil, err
	}
	script := filepath.Join(p.source, "encode.py")
	switch name {
	case ownName:
		return exec.CommandContext(ctx, p.self, contestCommand, ownName, path, codec, "1"), nil
	case ownTwoName:
		return exec.CommandContext(ctx, p.self, contestCommand, ownName, path, codec, "2"), nil
	case pqarrowName:
		return exec.CommandContext(ctx, p.self, contestCommand, pqarrowName, path, codec, string(chosen)), nil
	case pyarrowName:
		return exec.CommandContext(ctx, p.python, script, path, codec), nil
	case pyarrowByHand:
		return exec.CommandContext(ctx, p.python, script, path, codec, string(chosen)), nil
	case rustName:
		return exec.CommandContext(ctx, p.rust, path, codec), nil
	}
	return nil, fmt.Errorf("unknown contestant %q", name)
}

// contestants are those that take part.
func (p programs) contestants() []string {
	names := []string{ownName, ownTwoName, pqarrowName, pyarrowName, pyarrowByHand}
	if p.rust != "" {
		names = append(names, rustName)
	}
	return names
}

// contestant is a running one.
type contestant struct {
	name    string
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	ask     *bufio.Writer
	close   func() error
	answers *bufio.Reader
	errors  bytes.Buffer
}

// sample is one encoding.
type sample struct {
	cpu, wall float64 // seconds
	bytes     int64
}

func (p programs) start(ctx context.Context, name string, t *table, path, codec string) (*contestant, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd, err := p.command(ctx, name, t, path, codec)
	if err != nil {
		cancel()
		return nil, err
	}
	c := &contestant{name: name, cmd: cmd, cancel: cancel}
	cmd.Stderr = &c.errors
	in, err := cmd.StdinPipe()
	if err == nil {
		c.ask, c.close = bufio.NewWriter(in), in.Close
		out, outErr := cmd.StdoutPipe()
		if err = outErr; err == nil {
			c.answers = bufio.NewReader(out)
			err = cmd.Start()
		}
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return c, nil
}

// encode asks for one encoding and waits for the answer.
func (c *contestant) encode(question string) (sample, error) {
	late := time.AfterFunc(askTimeout, c.cancel)
	defer late.Stop()
	var s sample
	_, err := fmt.Fprintln(c.ask, question)
	if err == nil {
		err = c.ask.Flush()
	}
	var line string
	if err == nil {
		line, err = c.answers.ReadString('\n')
	}
	if err == nil {
		_, err = fmt.Sscan(line, &s.cpu, &s.wall, &s.bytes)
	}
	if err != nil {
		c.cancel()
		c.cmd.Wait() // its complaint is what tells, and is whole only then
		return sample{}, fmt.Errorf("%s gave no answer: %w\n%s", c.name, err, c.errors.String())
	}
	return s, nil
}

// stop ends the process and waits for it.
func (c *contestant) stop() error {
	defer c.cancel()
	late := time.AfterFunc(askTimeout, c.cancel)
	defer late.Stop()
	if err := c.close(); err != nil {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("stop %s: %w\n%s", c.name, err, c.errors.String())
	}
	return nil
}

// buildRust builds the Rust contestant into a folder and gives its path. An
// empty path says that there is no cargo.
func buildRust(ctx context.Context, source, folder string) (string, error) {
	cargo, err := exec.LookPath("cargo")
	if err != nil {
		return "", nil
	}
	cmd := exec.CommandContext(ctx, cargo, "build", "--quiet", "--release", "--locked",
		"--manifest-path", filepath.Join(source, "rust", "Cargo.toml"), "--target-dir", folder)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the Rust contestant (leave it out with -rust=false): %w", err)
	}
	return filepath.Join(folder, "release", "encoderbench"+executableSuffix), nil
}
