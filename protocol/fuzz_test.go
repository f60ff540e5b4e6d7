package protocol_test

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"github.com/casparian-flow/casparian-worker/protocol"
)

// What must hold for any bytes at all: no panic; an error of exactly one of the
// six kinds; and what was read can be sent, and is then read as the same.

func FuzzHeader(f *testing.F) {
	for _, v := range readVectors(f) {
		if len(v.frames) > 0 {
			f.Add(v.frames[0])
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		header, err := protocol.ParseHeader(raw)
		if err != nil {
			requireOneKind(t, err)
			return
		}
		written, err := header.AppendBinary(nil)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", header, err)
		}
		// The reserved bytes are ignored and written as 0.
		want := bytes.Clone(raw[:protocol.HeaderSize])
		want[2], want[3] = 0, 0
		if !bytes.Equal(written, want) {
			t.Fatalf("read %x, wrote %x", raw, written)
		}
	})
}

func FuzzMessage(f *testing.F) {
	for _, v := range readVectors(f) {
		if len(v.frames) > 0 {
			f.Add(v.frames[0], bytes.Join(v.frames[1:], nil), uint8(len(v.frames)))
		}
	}
	f.Fuzz(func(t *testing.T, header, payload []byte, count uint8) {
		// 0 and 1 frames, 2, and more.
		received := [][]byte{header, payload, nil, header}[:count%5]
		requireStable(t, received)

		var stream bytes.Buffer
		if err := protocol.WriteFrames(&stream, received); err != nil {
			t.Fatal(err)
		}
		if frames, err := protocol.ReadFrames(&stream, 1<<20); err == nil {
			requireStable(t, frames)
		}
	})
}

func FuzzIdentify(f *testing.F)   { fuzzPayload(f, protocol.OpIdentify) }
func FuzzDispatch(f *testing.F)   { fuzzPayload(f, protocol.OpDispatch) }
func FuzzAbort(f *testing.F)      { fuzzPayload(f, protocol.OpAbort) }
func FuzzHeartbeat(f *testing.F)  { fuzzPayload(f, protocol.OpHeartbeat) }
func FuzzConclude(f *testing.F)   { fuzzPayload(f, protocol.OpConclude) }
func FuzzError(f *testing.F)      { fuzzPayload(f, protocol.OpErr) }
func FuzzReload(f *testing.F)     { fuzzPayload(f, protocol.OpReload) }
func FuzzPrepareEnv(f *testing.F) { fuzzPayload(f, protocol.OpPrepareEnv) }
func FuzzEnvReady(f *testing.F)   { fuzzPayload(f, protocol.OpEnvReady) }
func FuzzDeploy(f *testing.F)     { fuzzPayload(f, protocol.OpDeploy) }

// fuzzPayload puts any bytes behind a sound header. The seeds are all vectors of
// the opcode, the broken ones included.
func fuzzPayload(f *testing.F, op protocol.OpCode) {
	for _, v := range readVectors(f) {
		if len(v.frames) == 2 && len(v.frames[0]) == protocol.HeaderSize && v.frames[0][1] == uint8(op) {
			f.Add(v.frames[1])
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		received := frames(t, op, 7, string(payload))
		message := requireStable(t, received)
		if message.Payload != nil && message.Payload.Op() != op {
			t.Fatalf("%s was read as %s", op, message.Payload.Op())
		}
	})
}

// requireStable reads frames, and if they are a message sends it and reads it
// again. It gives a message without payload for frames that are none.
func requireStable(t *testing.T, received [][]byte) protocol.Message {
	t.Helper()
	message, err := protocol.Decode(received)
	if err != nil {
		requireOneKind(t, err)
		if message.Payload != nil {
			t.Fatalf("an error (%v) and a payload: %#v", err, message.Payload)
		}
		return message
	}
	sent, err := protocol.Encode(message)
	if err != nil {
		t.Fatalf("%#v was read and cannot be sent: %v", message, err)
	}
	again, err := protocol.Decode(sent)
	if err != nil || !reflect.DeepEqual(again, message) {
		t.Fatalf("read   %#v\nsent   %q\nread   %#v, %v", message, sent, again, err)
	}
	if twice, err := protocol.Encode(again); err != nil || !reflect.DeepEqual(twice, sent) {
		t.Fatalf("sent   %q\nand then %q, %v", sent, twice, err)
	}
	return message
}

func requireOneKind(t *testing.T, err error) {
	t.Helper()
	found := 0
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			found++
		}
	}
	if found != 1 {
		t.Fatalf("%d kinds fit the error %v", found, err)
	}
	if len(err.Error()) > 1000 {
		t.Fatalf("an error message of %d bytes", len(err.Error()))
	}
}
