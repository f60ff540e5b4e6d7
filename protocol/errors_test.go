package protocol_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/protocol"
)

func TestErrorsSayWhatWasWrong(t *testing.T) {
	dispatch := protocol.Header{Op: protocol.OpDispatch, JobID: 7, Length: 120}
	for name, c := range map[string]struct {
		err  error
		kind protocol.ErrorKind
		says []string
	}{
		"opcode of a newer Sentinel": {&protocol.InvalidOpCodeError{Header: protocol.Header{Op: 11, JobID: 7, Length: 9}}, protocol.ErrInvalidOpCode, []string{"opcode 11", "job id 7", "9 bytes", "newer Sentinel", "skipped"}},
		"opcode never sent":          {&protocol.InvalidOpCodeError{}, protocol.ErrInvalidOpCode, []string{"opcode 0", "UNKNOWN", "not filled in"}},
		"cut header":                 {&protocol.HeaderTooShortError{Got: 3}, protocol.ErrHeaderTooShort, []string{"3 bytes", "16", "cut"}},
		"no header":                  {&protocol.HeaderTooShortError{}, protocol.ErrHeaderTooShort, []string{"empty or missing", "16", "REQ"}},
		"older Sentinel":             {&protocol.VersionMismatchError{Got: 3}, protocol.ErrVersionMismatch, []string{"version 3", "speaks 4", "releases"}},
		"cut payload":                {&protocol.PayloadLengthMismatchError{Header: dispatch, Frames: 2, Got: 100}, protocol.ErrPayloadLengthMismatch, []string{"DISPATCH for job 7", "120", "100"}},
		"too many frames":            {&protocol.PayloadLengthMismatchError{Header: dispatch, Frames: 3, Got: 120}, protocol.ErrPayloadLengthMismatch, []string{"3 frames", "2"}},
		"glued frames":               {&protocol.PayloadLengthMismatchError{Header: dispatch, Frames: 1, Got: 120}, protocol.ErrPayloadLengthMismatch, []string{"120 bytes", "header's frame"}},
		"too large to send":          {&protocol.PayloadLengthMismatchError{Header: dispatch, Frames: 2, Got: 1 << 32}, protocol.ErrPayloadLengthMismatch, []string{"4294967296", "4294967295"}},
		"too large to read":          {&protocol.PayloadLengthMismatchError{Header: dispatch, Frames: 1, Limit: 64}, protocol.ErrPayloadLengthMismatch, []string{"120", "64", "not read"}},
		"a field":                    {&protocol.JSONError{Header: dispatch, Field: "sinks[1].uri", Reason: "is missing"}, protocol.ErrJSON, []string{"DISPATCH for job 7", "field sinks[1].uri is missing"}},
		"a payload":                  {&protocol.JSONError{Header: dispatch, Reason: "is not JSON"}, protocol.ErrJSON, []string{"DISPATCH for job 7", "payload is not JSON"}},
		"a stream":                   {&protocol.IOError{Doing: "read header", Done: 3, Want: 16, Err: io.ErrUnexpectedEOF}, protocol.ErrIO, []string{"read header", "3 of 16", "unexpected EOF"}},
	} {
		t.Run(name, func(t *testing.T) {
			wrapped := fmt.Errorf("receive from the Sentinel: %w", c.err)
			for _, kind := range kinds {
				if errors.Is(wrapped, kind) != (kind == c.kind) {
					t.Errorf("errors.Is(%s) = %t, the kind is %s", kind, errors.Is(wrapped, kind), c.kind)
				}
			}
			for _, part := range c.says {
				if !strings.Contains(c.err.Error(), part) {
					t.Errorf("%q does not say %q", c.err, part)
				}
			}
		})
	}
}

func TestIOErrorKeepsTheStreamsOwnError(t *testing.T) {
	err := error(&protocol.IOError{Doing: "write message", Err: io.ErrClosedPipe})
	if !errors.Is(err, io.ErrClosedPipe) {
		t.Fatalf("%v hides what the stream said", err)
	}
}

func TestKindsHaveTheProtocolsNames(t *testing.T) {
	want := "InvalidOpCode HeaderTooShort VersionMismatch PayloadLengthMismatch JsonError IoError"
	var names []string
	for _, kind := range kinds {
		names = append(names, kind.String())
		if kind.Error() != "protocol: "+kind.String() {
			t.Errorf("kind as an error: %q", kind.Error())
		}
	}
	if got := strings.Join(names, " "); got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if zero := protocol.ErrorKind(0).String(); zero != "ErrorKind(0)" {
		t.Fatalf("no kind is called %s", zero)
	}
}
