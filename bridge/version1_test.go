package bridge

import (
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

func fieldShim(t *testing.T, limits Limits) *Host {
	t.Helper()
	shim, err := filepath.Abs("testdata/shim_v1.py")
	if err != nil {
		t.Fatal(err)
	}
	return newHost(t, Options{Shim: shim, Limits: limits})
}

func TestAShimOfTheFieldIsServed(t *testing.T) {
	t.Parallel()
	h := fieldShim(t, Limits{})
	t.Run("every publish belongs to every sink", func(t *testing.T) {
		o := collect(t, start(t, h, Spec{JobID: 1<<64 - 1, FilePath: "/data/größe.csv", FileVersionID: 12, Source: []byte(`
import pandas as pd, pyarrow as pa
class Handler:
    def configure(self, context, config):
        self.context, self.job = context, config["job_id"]
    def consume(self, event):
        self.context.publish(self.context.register_topic("t"), pa.table({"job": [self.job], "path": [event.path], "id": [event.file_id]}))
        yield pd.DataFrame({"s": ["x", None]}, index=["i", "j"])
        yield pd.DataFrame({"a": []})
        yield pa.concat_tables([pa.table({"n": [1]}), pa.table({"n": [2]})])
`)})).mustSucceed(t)
		want := []string{`job=["18446744073709551615"]`, `path=["/data/größe.csv"]`, "id=[12]",
			`s=["x" (null)]`, `__index_level_0__=["i" "j"]`, "n=[1]", "n=[2]"}
		if !slices.Equal(o.cells, want) {
			t.Errorf("got  %q\nwant %q", o.cells, want)
		}
		if want := []string{"", "", "", ""}; !slices.Equal(o.topics, want) {
			t.Errorf("topics %q", o.topics)
		}
	})
	t.Run("an error frame is a failure, though the end frame follows", func(t *testing.T) {
		o := collect(t, start(t, h, Spec{Source: []byte(`
import pyarrow as pa
class Handler:
    def consume(self, event):
        yield pa.table({"n": [1]})
        raise ValueError("größer als gedacht")
`)}))
		if raised := o.mustRaise(t); raised.Message != "größer als gedacht" || raised.Type != "" {
			t.Errorf("got %+v", raised)
		}
		if o.total() != 1 {
			t.Errorf("%d rows came before the error, want 1", o.total())
		}
	})
	t.Run("no end frame is a failure", func(t *testing.T) {
		o := collect(t, start(t, h, Spec{Source: []byte("import sys\nclass Handler:\n    def consume(self, event): sys.exit(0)\n")}))
		if failed := o.mustFail(t, EndedEarly); failed.ExitStatus != "exit status 0" {
			t.Errorf("got %v", failed)
		}
	})
}

// What a guest may send, byte by byte, and what the host makes of it.
func TestVersion1Lies(t *testing.T) {
	t.Parallel()
	h := fieldShim(t, Limits{Frame: 1 << 20})
	tests := []struct {
		name, bytes string // a Python expression
		kind        Kind
		detail      string
	}{
		{"a length just under the error mark", `b"\xff\xff\xff\xfe"`, FrameTooLarge, "4294967294"},
		{"a length of 2 GiB", `b"\x80\x00\x00\x00"`, FrameTooLarge, "2147483648"},
		{"an error text above the limit", `b"\xff\xff\xff\xff\x7f\xff\xff\xff"`, FrameTooLarge, "2147483647"},
		{"garbage for a stream", `struct.pack(">I", 64) + b"garbage!" * 8`, ProtocolViolation, "bad Arrow stream"},
		{"zeros for a stream", `struct.pack(">I", 64) + bytes(64)`, ProtocolViolation, "bad Arrow stream"},
		{"a frame cut short", `struct.pack(">I", 1000) + b"x" * 10`, EndedEarly, "middle of a frame"},
		{"half a length", `b"\x00\x00"`, EndedEarly, "middle of a frame"},
		{"a stream cut short", `framed(stream()[:-200])`, ProtocolViolation, "bad Arrow stream"},
		{"a stream without its end mark", `framed(stream()[:-8])`, ProtocolViolation, "end mark"},
		{"bytes behind the stream", `framed(stream() + b"more")`, ProtocolViolation, "follow its end mark"},
		{"two streams in one frame", `framed(stream() + stream())`, ProtocolViolation, "follow its end mark"},
		{"a compressed stream", `framed(stream(compression="zstd"))`, ProtocolViolation, "compress"},
		{"a lying body length", `framed(longer_body())`, ProtocolViolation, "announces a body of"},
		{"version 2 without its hello", `b"\xf5CSP\x00\x02\x00\x00" + b"\x07\x00\x00\x00\x00\x00\x00\x02{}"`, EndedEarly, "before it connected"},
		{"version 3", `b"\xf5CSP\x00\x03\x00\x00"`, ProtocolViolation, "version 3"},
	}
	const tools = `
import os, struct
import pyarrow as pa
def stream(**options):
    sink = pa.BufferOutputStream()
    batch = pa.record_batch({"n": list(range(100))})
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()
def framed(body):
    return struct.pack(">I", len(body)) + body
def longer_body():
    whole = stream()
    at = whole.rindex(struct.pack("<q", 800))  # the column's buffer, then look for the body's length
    for position in range(0, len(whole) - 8, 4):
        if struct.unpack_from("<q", whole, position)[0] == 800 and position != at:
            return whole[:position] + struct.pack("<q", 1 << 60) + whole[position + 8:]
    raise AssertionError("no body length found")
class Handler:
    def consume(self, event):
        sock.sendall(%s)
        os._exit(0)
`
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := collect(t, start(t, h, Spec{Source: []byte(strings.Replace(tools, "%s", test.bytes, 1))}))
			mustContain(t, o.mustFail(t, test.kind).Error(), test.detail)
		})
	}
}

// A custom shim gets the source in one environment string, and that has a limit.
func TestASourceTooLargeForVersion1IsRefusedBeforeTheStart(t *testing.T) {
	t.Parallel()
	h := fieldShim(t, Limits{})
	fits := strings.Repeat("#", 90_000) + "\nclass Handler:\n    def consume(self, event): return []\n"
	collect(t, start(t, h, Spec{Source: []byte(fits)})).mustSucceed(t)

	_, err := h.Start(t.Context(), Spec{Interpreter: parts.Python(t), Source: []byte(strings.Repeat("#", 300_000))})
	(&outcome{err: err, guest: &Guest{output: newOutputTail(1)}}).mustFail(t, SourceTooLarge)
}

// A version 1 guest that computes for long before its first publish is silent,
// not late.
func TestVersion1SilenceIsBounded(t *testing.T) {
	t.Parallel()
	h := fieldShim(t, Limits{Silence: 3 * time.Second})
	o := collect(t, start(t, h, Spec{Source: []byte("import time\nclass Handler:\n    def consume(self, event): time.sleep(3600)\n")}))
	o.mustFail(t, SilenceTimeout)
}

func TestVersion1FramesWithoutAGuest(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, bytes string
		want        string
	}{
		{"end at once", "\x00\x00\x00\x00", ""},
		{"nothing", "", "EOF"},
		{"an error without a text", "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00", "plugin failed: "},
		{"a traceback as the text", "\xff\xff\xff\xff\x00\x00\x00\x3dTraceback (most recent call last):\n  File ...\nValueError: bad\x00\x00\x00\x00", "plugin failed: ValueError: bad"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := strings.NewReader(test.bytes)
			first, err := readNumber(in)
			if err == nil {
				err = readVersion1(in, first, &framePool{keep: 1}, 1<<20, nil)
			}
			if err == nil && test.want == "" {
				return
			}
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if left, _ := io.ReadAll(in); len(left) > 0 {
				t.Errorf("%q was not read", left)
			}
		})
	}
}
