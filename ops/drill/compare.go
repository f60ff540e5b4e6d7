package drill

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
)

//go:embed compare.py
var compareScript string

// comparer reads rows back with the pyarrow of the environment that made them:
// another program's reader than the writer's own. One goroutine uses it.
type comparer struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	trouble bytes.Buffer
}

// difference is what comparing two files gives.
type difference struct {
	Expected int64  `json:"expected"` // rows
	Found    int64  `json:"found"`
	Missing  int64  `json:"missing"`
	Extra    int64  `json:"extra"`
	Order    bool   `json:"order"` // the rows come in the same order
	Problem  string `json:"problem"`
}

// errNoArrow: the interpreter has no pyarrow that reads Parquet.
type errNoArrow struct{ reason string }

func (e *errNoArrow) Error() string { return "no pyarrow to read rows back with: " + e.reason }

// longestAnswer of the script, in bytes.
const longestAnswer = 4 << 20

func newComparer(interpreter string) (*comparer, error) {
	c := &comparer{cmd: exec.Command(interpreter, "-I", "-c", compareScript)}
	c.cmd.Stderr = &c.trouble
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewScanner(out)
	c.out.Buffer(nil, longestAnswer)
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the comparison: %w", err)
	}
	ready, err := c.answer()
	if err == nil && ready.Problem != "" {
		err = &errNoArrow{ready.Problem}
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// compare compares two files.
func (c *comparer) compare(expected, found string) (difference, error) {
	request, err := json.Marshal(map[string]string{"expected": expected, "found": found})
	if err != nil {
		return difference{}, err
	}
	if _, err := c.in.Write(append(request, '\n')); err != nil {
		return difference{}, c.ended(err)
	}
	return c.answer()
}

func (c *comparer) answer() (d difference, err error) {
	if !c.out.Scan() {
		return d, c.ended(c.out.Err())
	}
	if err := json.Unmarshal(c.out.Bytes(), &d); err != nil {
		return d, fmt.Errorf("compare: %w", err)
	}
	return d, nil
}

func (c *comparer) ended(err error) error {
	c.close()
	return fmt.Errorf("the comparison ended by itself: %w", errors.Join(err, errors.New(strings.TrimSpace(c.trouble.String()))))
}

func (c *comparer) close() {
	_ = c.in.Close() // ends the script
	_ = c.cmd.Wait()
}
