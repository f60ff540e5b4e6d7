package venv

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestOutputIsCutIntoCleanLines(t *testing.T) {
	cases := []struct {
		name   string
		pieces []string
		want   []string
	}{
		{"nothing", nil, nil},
		{"lines", []string{"one\ntwo\n"}, []string{"one", "two"}},
		{"the last without an end", []string{"one\ntwo"}, []string{"one", "two"}},
		{"in pieces", []string{"o", "ne", "\nt", "wo\n"}, []string{"one", "two"}},
		{"empty lines", []string{"\n\none\r\n\n"}, []string{"one"}},
		{"a progress bar", []string{"10%\r20%\rdone\n"}, []string{"10%", "20%", "done"}},
		{"colours", []string{"\x1b[1m\x1b[31merror\x1b[0m: no\n"}, []string{"error: no"}},
		{"a link", []string{"\x1b]8;;https://mill.example\x1b\\see\x1b]8;;\x1b\\ there\n"}, []string{"see there"}},
		{"control characters", []string{"a\x00b\x07c\td\n"}, []string{"abc d"}},
		{"not UTF-8", []string{"caf\xe9\n"}, []string{"caf?"}},
		{"a password", []string{"GET https://miller:gr1st@mill.example/simple\n"}, []string{"GET https://****@mill.example/simple"}},
		{"a long line", []string{strings.Repeat("x", 10*lineLength), "y\nshort\n"}, []string{strings.Repeat("x", lineLength), "short"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var passedOn []string
			o := &output{progress: func(line string) { passedOn = append(passedOn, line) }}
			for _, piece := range c.pieces {
				if n, err := o.Write([]byte(piece)); n != len(piece) || err != nil {
					t.Fatalf("write: %d, %v", n, err)
				}
			}
			if got := o.lines(); !slices.Equal(got, c.want) || !slices.Equal(passedOn, c.want) {
				t.Errorf("got %q, passed on %q, want %q", got, passedOn, c.want)
			}
		})
	}
}

func TestOnlyTheLastLinesAreKept(t *testing.T) {
	o := &output{}
	for i := range 10_000 {
		if _, err := o.Write([]byte(strconv.Itoa(i) + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	got := o.lines()
	if len(got) != tailLines || got[0] != strconv.Itoa(10_000-tailLines) || got[tailLines-1] != "9999" || cap(o.tail) > 4*tailLines {
		t.Errorf("kept %d lines (capacity %d): %q", len(got), cap(o.tail), got)
	}
}

// The lines are uv's own, of uv 0.13.
func TestDiagnosis(t *testing.T) {
	cases := []struct {
		name string
		tail string
		want Reason
	}{
		{"disk full, environment", "cause: failed to copy file from /c/a to /e/a: No space left on device (os error 28)", DiskFull},
		{"disk full, cache", "error: Failed to initialize cache at `/c`\n  cause: failed to write to file `/c/CACHEDIR.TAG`: No space left on device (os error 28)", DiskFull},
		{"no name server", "error: Request failed after 3 retries in 10.8s\n  cause: client error (Connect)\n  cause: dns error\n" +
			"  cause: failed to lookup address information: Name or service not known", Offline},
		{"told to be offline", "cause: Network connectivity is disabled, but the requested data wasn't found in the cache: https://mill.example/a.whl", Offline},
		{"no such Python", "error: No interpreter found for Python >=3.99 in managed installations or search path", WrongPython},
		{"another Python", "error: The requested interpreter resolved to Python 3.11.7, which is incompatible with the project's Python requirement: `<3.9`", WrongPython},
		{"gone from the index", "cause: Failed to fetch: http://mill.example/a.whl\n  cause: HTTP status client error (404 Not Found) for url (http://mill.example/a.whl)", Unresolvable},
		{"changed in the index", "cause: Hash mismatch for `six==1.17.0`", Unresolvable},
		{"not for this platform", "error: Distribution `grain==1.0` can't be installed because it doesn't have a source distribution or wheel for the current platform", Unresolvable},
		{"another project", "error: The lockfile at `uv.lock` needs to be updated, but `--frozen` was provided: Missing workspace member `other`.", Unresolvable},
		{"something new", "error: the moon is in the wrong house", Failed},
		{"nothing said", "", Failed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := diagnose(strings.Split(c.tail, "\n")); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
