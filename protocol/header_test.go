package protocol_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"github.com/casparian-flow/casparian-worker/protocol"
)

func TestHeaderBytes(t *testing.T) {
	// The bytes are those of Python's struct.pack("!BBHQI", 4, op, 0, job, length).
	for name, c := range map[string]struct {
		header protocol.Header
		bytes  string
	}{
		"a dispatch":        {protocol.Header{Op: protocol.OpDispatch, JobID: 7, Length: 300}, "04020000" + "0000000000000007" + "0000012c"},
		"no job":            {protocol.Header{Op: protocol.OpReload}, "04070000" + "0000000000000000" + "00000000"},
		"everything at max": {protocol.Header{Op: protocol.OpDeploy, JobID: math.MaxUint64, Length: math.MaxUint32}, "040a0000" + "ffffffffffffffff" + "ffffffff"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.header.AppendBinary([]byte("before"))
			if err != nil {
				t.Fatal(err)
			}
			rest, kept := bytes.CutPrefix(got, []byte("before"))
			if !kept || hex.EncodeToString(rest) != c.bytes {
				t.Fatalf("wrote %q, want %s behind what was there", got, c.bytes)
			}
			header, err := protocol.ParseHeader(append(rest, "the payload"...))
			if err != nil || header != c.header {
				t.Fatalf("read back %+v, %v", header, err)
			}
		})
	}
}

func TestHeaderIgnoresReservedBytes(t *testing.T) {
	raw, err := hex.DecodeString("0402beef" + "0000000000000007" + "00000000")
	if err != nil {
		t.Fatal(err)
	}
	header, err := protocol.ParseHeader(raw)
	if err != nil || header != (protocol.Header{Op: protocol.OpDispatch, JobID: 7}) {
		t.Fatalf("read %+v, %v", header, err)
	}
}

func TestHeaderOfUnknownOpcodeCanBeSkipped(t *testing.T) {
	raw, err := hex.DecodeString("040b0000" + "0000000000000007" + "00000009")
	if err != nil {
		t.Fatal(err)
	}
	header, err := protocol.ParseHeader(raw)
	var unknown *protocol.InvalidOpCodeError
	if !errors.As(err, &unknown) {
		t.Fatalf("no InvalidOpCodeError but %v", err)
	}
	want := protocol.Header{Op: 11, JobID: 7, Length: 9}
	if header != want || unknown.Header != want {
		t.Fatalf("header %+v, in the error %+v, want %+v", header, unknown.Header, want)
	}
}

func TestHeaderIsNotWrittenWithoutAnOpcode(t *testing.T) {
	for _, op := range []protocol.OpCode{protocol.OpUnknown, protocol.OpDeploy + 1, 255} {
		got, err := protocol.Header{Op: op}.AppendBinary([]byte("before"))
		if !errors.Is(err, protocol.ErrInvalidOpCode) || string(got) != "before" {
			t.Errorf("%s: wrote %q, %v", op, got, err)
		}
	}
}

func TestOpcodeNames(t *testing.T) {
	names := []string{"UNKNOWN", "IDENTIFY", "DISPATCH", "ABORT", "HEARTBEAT", "CONCLUDE", "ERR", "RELOAD", "PREPARE_ENV", "ENV_READY", "DEPLOY", "OPCODE(11)"}
	for number, name := range names {
		op := protocol.OpCode(number)
		if op.String() != name {
			t.Errorf("opcode %d is called %s, want %s", number, op, name)
		}
		if valid := number >= 1 && number <= 10; op.Valid() != valid {
			t.Errorf("%s: Valid() = %t", op, op.Valid())
		}
	}
}
