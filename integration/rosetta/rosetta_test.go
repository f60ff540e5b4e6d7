package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// serveVariable makes this test's own program serve as the Go half, so that the
// exchange runs under the race detector whenever the test does.
const serveVariable = "ROSETTA_SERVE"

const (
	honest = "honest"
	liar   = "liar" // gets job ids wrong
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(serveVariable) {
	case "":
		goleak.VerifyTestMain(m)
		return
	case honest:
		err = serve(os.Stdin, os.Stdout)
	case liar:
		err = lie(os.Stdin, os.Stdout)
	default:
		err = errors.New("unknown " + serveVariable)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rosetta:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// lie serves with every job id but 0 altered on its way back.
func lie(in io.Reader, out io.Writer) error {
	jobID := regexp.MustCompile(`"job_id":[1-9]`)
	for {
		request, err := readRecord(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := perform(request)
		if err != nil {
			return err
		}
		answer[0] = jobID.ReplaceAll(answer[0], []byte(`"job_id":4`))
		if err := writeRecord(newWriter(out), answer); err != nil {
			return err
		}
	}
}

// verify runs integration/verify_protocol.py as a person would.
func verify(t *testing.T, serveAs string, arguments ...string) (report string, err error) {
	t.Helper()
	python, root := parts.Python(t), parts.Root(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, python, append([]string{filepath.Join(root, "integration", "verify_protocol.py")}, arguments...)...)
	command.Dir = t.TempDir()
	command.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONIOENCODING=utf-8", serveVariable+"="+serveAs)
	// The Go half ends when its input ends; should Python be killed, that is at once.
	command.WaitDelay = 10 * time.Second
	output, err := command.CombinedOutput()
	return string(output), err
}

func self(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

var tally = regexp.MustCompile(`(\d+) exchanges, (\d+) mismatches`)

func TestGoAndPythonSayTheSame(t *testing.T) {
	report, err := verify(t, honest, "--rosetta", self(t), "--huge", "1")
	t.Log("\n" + report)
	if err != nil {
		t.Fatal(err)
	}
	counts := tally.FindStringSubmatch(report)
	if counts == nil || len(counts[1]) < 4 || counts[2] != "0" {
		t.Fatalf("thousands of exchanges and no mismatch were to be reported, not %v", counts)
	}
}

// TestHugePayloads lets the script build the Go half by itself, as it does for a
// person: at 64 MB the race detector would take minutes.
func TestHugePayloads(t *testing.T) {
	if report, err := verify(t, "", "--only-huge", "--huge", "64"); err != nil {
		t.Fatalf("%v\n%s", err, report)
	} else if counts := tally.FindStringSubmatch(report); counts == nil || counts[1] != "14" || counts[2] != "0" {
		t.Fatalf("7 payloads were to be said in both directions:\n%s", report)
	}
}

// TestMismatchIsReported shows that the other tests can fail.
func TestMismatchIsReported(t *testing.T) {
	report, err := verify(t, liar, "--rosetta", self(t), "--huge", "0")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("ended with %v, want exit status 1\n%s", err, report)
	}
	if !strings.Contains(report, "MISMATCH") || !strings.Contains(report, "BAD") {
		t.Fatalf("the report shows no mismatch:\n%s", report)
	}
}

func TestHelpNamesEveryOption(t *testing.T) {
	report, err := verify(t, honest, "--help")
	if err != nil {
		t.Fatalf("%v\n%s", err, report)
	}
	for _, option := range []string{"--rosetta", "--huge", "--only-huge", "--verbose"} {
		if !strings.Contains(report, option) {
			t.Errorf("no word of %s in:\n%s", option, report)
		}
	}
}

func TestGoldenVectorsAreThoseOfPython(t *testing.T) {
	python, root := parts.Python(t), parts.Root(t)
	command := exec.CommandContext(t.Context(), python, filepath.Join(root, "integration", "rosetta", "golden.py"), "--check")
	command.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	record := func(parts ...string) []byte {
		var out bytes.Buffer
		raw := make([][]byte, len(parts))
		for i, part := range parts {
			raw[i] = []byte(part)
		}
		if err := writeRecord(newWriter(&out), raw); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for name, c := range map[string]struct {
		input []byte
		says  string
	}{
		"no task":              {record(), "without a task"},
		"unknown task":         {record("sing"), `"sing"`},
		"pack without a value": {record("pack", "{}"), "needs 2"},
		"stream of two":        {record("stream", "", ""), "needs 1"},
		"no such opcode":       {record("pack", `{"op":"SING"}`, `{}`), `"SING"`},
		"no such field":        {record("pack", `{"op":"ERR"}`, `{"Melody":1}`), "Melody"},
		"cut in the count":     {[]byte{0, 0}, "unexpected EOF"},
		"cut in a length":      {[]byte{0, 0, 0, 1, 0}, "unexpected EOF"},
		"cut in a part":        {[]byte{0, 0, 0, 1, 0, 0, 0, 9, 'x'}, "9 bytes"},
		"a part of 4 GiB":      {[]byte{0, 0, 0, 1, 255, 255, 255, 255}, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			err := serve(bytes.NewReader(c.input), io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v, want a word of %q", err, c.says)
			}
		})
	}
}
