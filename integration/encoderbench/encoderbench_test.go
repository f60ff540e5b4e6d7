package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/casparian-flow/casparian-worker/integration/benchreport"
	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// This test program is a contestant too, when the benchmark starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == contestCommand {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// All contestants but Rust's encode two tables, their files hold its rows, and
// the report has a place for each of them.
func TestBenchmarkOfSmallTables(t *testing.T) {
	document := filepath.Join(t.TempDir(), "benchmarks.md")
	begin, end := benchreport.Marks("make bench")
	if err := os.WriteFile(document, []byte("before\n"+begin+"\nan earlier run\n"+end+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := start(t.Context(), []string{"-python", parts.Python(t), "-source", ".", "-rust=false", "-turns", "2", "-shrink", "1000", "-tables", "mixed,nested", "-document", document})
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	for _, want := range []string{"before\n", "\nafter\n", "| own | two workers |", ownName, pqarrowName, pyarrowName, pyarrowByHand, "took no part", "not measured"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	for _, table := range []string{"mixed", "nested"} {
		for _, codec := range codecs {
			if !strings.Contains(text, "\n| "+table+", "+codec+" | ") {
				t.Errorf("the report has no line for %s, %s:\n%s", table, codec, text)
			}
		}
	}
	if strings.Contains(text, "| text") {
		t.Errorf("the report has a table that was not asked for:\n%s", text)
	}
	if strings.Contains(text, "an earlier run") {
		t.Error("the report before is still there")
	}
}

// A file that does not hold the rows of the table ends the benchmark.
func TestWrongFileIsFound(t *testing.T) {
	folder := t.TempDir()
	all := tables(1000)
	right, other := filepath.Join(folder, "right.arrow"), filepath.Join(folder, "other.arrow")
	if _, err := all[0].write(right); err != nil {
		t.Fatal(err)
	}
	all[0].rows--
	if _, err := all[0].write(other); err != nil {
		t.Fatal(err)
	}
	p := contestParts(t)
	c, err := p.start(t.Context(), ownName, &all[0], other, "snappy")
	if err != nil {
		t.Fatal(err)
	}
	err = verify(t.Context(), p, right, []*contestant{c})
	if stopErr := c.stop(); stopErr != nil {
		t.Error(stopErr)
	}
	if err == nil || !strings.Contains(err.Error(), "does not hold the rows") {
		t.Errorf("a file of another table gave %v", err)
	}
}

// What a contestant complains of is in the error.
func TestContestantThatFails(t *testing.T) {
	all := tables(1000)
	c, err := contestParts(t).start(t.Context(), ownName, &all[0], filepath.Join(t.TempDir(), "missing.arrow"), "snappy")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.encode(encodeQuestion)
	if err == nil || !strings.Contains(err.Error(), "missing.arrow") || !strings.Contains(err.Error(), ownName) {
		t.Errorf("a missing table gave %v", err)
	}
	if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "pipe") {
		t.Errorf("the cause is neither the end of the answers nor of the pipe: %v", err)
	}
}

func TestBarsAreJudged(t *testing.T) {
	h := heat{table: "text", codec: "snappy", results: map[string]result{
		ownName: {cpu: 1, bestWall: 1, bytes: 90}, ownTwoName: {bestWall: 0.5}, rustName: {cpu: 1.5, bytes: 100},
	}}
	text := report(nil, []heat{h}, []string{ownName, ownTwoName, rustName}, 1)
	for _, want := range []string{
		"| CPU, of Rust's | text, snappy | ≤ 0.50 | 0.67 | no |",
		"| size, of Rust's | text, snappy | ≤ 1.00 | 0.90 | yes |",
		"| text, snappy | 1.000 s, 0.0 MB | 2.00 | 1.5 / 1.11 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
}

func TestSummary(t *testing.T) {
	got := summary([]sample{{3, 6, 7}, {1, 2, 7}, {2, 4, 7}, {9, 8, 7}, {2, 3, 7}})
	want := result{cpu: 2, wall: 4, bestWall: 2, bytes: 7, spread: 0.25}
	if got != want {
		t.Errorf("summary %+v, want %+v", got, want)
	}
}

func contestParts(t *testing.T) programs {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return programs{self: self, python: parts.Python(t), source: "."}
}
