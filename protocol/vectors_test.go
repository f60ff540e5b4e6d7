package protocol_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/protocol"
)

// vector is one entry of testdata/vectors/index.json. Its frames were made by
// Python's struct and json (integration/rosetta/golden.py).
type vector struct {
	Name  string          `json:"name"`
	About string          `json:"about"`
	File  string          `json:"file"`
	Op    string          `json:"op"`
	JobID uint64          `json:"job_id"`
	Value json.RawMessage `json:"value"` // the Go struct, without tags
	// Canonical: Encode writes the same bytes.
	Canonical bool `json:"canonical"`
	// Kind and Field of the error, for a broken one.
	Kind  string `json:"kind"`
	Field string `json:"field"`

	frames [][]byte
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	folder := filepath.Join("testdata", "vectors")
	index, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(index, &vectors); err != nil {
		t.Fatalf("read the index of vectors: %v", err)
	}
	for i := range vectors {
		text, err := os.ReadFile(filepath.Join(folder, vectors[i].File))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			frame, err := hex.DecodeString(strings.TrimRight(line, "\r\n"))
			if err != nil {
				t.Fatalf("%s: %v", vectors[i].File, err)
			}
			vectors[i].frames = append(vectors[i].frames, frame)
		}
	}
	if len(vectors) < 100 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	return vectors
}

// payloads has an empty struct of every payload, to be filled in by a vector.
func payloads() map[string]func() any {
	return map[string]func() any{
		"IDENTIFY":    func() any { return new(protocol.Identify) },
		"DISPATCH":    func() any { return new(protocol.Dispatch) },
		"ABORT":       func() any { return new(protocol.Abort) },
		"HEARTBEAT":   func() any { return new(protocol.Heartbeat) },
		"CONCLUDE":    func() any { return new(protocol.Conclude) },
		"ERR":         func() any { return new(protocol.Error) },
		"RELOAD":      func() any { return new(protocol.Reload) },
		"PREPARE_ENV": func() any { return new(protocol.PrepareEnv) },
		"ENV_READY":   func() any { return new(protocol.EnvReady) },
		"DEPLOY":      func() any { return new(protocol.Deploy) },
	}
}

// said is the message that a vector stands for.
func (v vector) said(t *testing.T) protocol.Message {
	t.Helper()
	payload := payloads()[v.Op]()
	decoder := json.NewDecoder(bytes.NewReader(v.Value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(payload); err != nil {
		t.Fatalf("read the value of the vector: %v", err)
	}
	value := reflect.ValueOf(payload).Elem().Interface().(protocol.Payload)
	switch p := value.(type) {
	case protocol.Dispatch:
		for i := range p.Sinks {
			p.Sinks[i].SchemaDef = opaque(t, p.Sinks[i].SchemaDef)
		}
	case protocol.Deploy:
		p.SystemRequirements = opaque(t, p.SystemRequirements)
		value = p
	}
	return protocol.Message{JobID: v.JobID, Payload: value}
}

// opaque brings JSON of the index into the form in which it is decoded.
func opaque(t *testing.T, raw json.RawMessage) json.RawMessage {
	t.Helper()
	if string(raw) == "null" {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

func TestGoldenVectors(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range readVectors(t) {
		if v.Kind != "" {
			t.Run(v.Name, func(t *testing.T) { readBroken(t, v) })
			continue
		}
		seen[v.Op] = true
		t.Run(v.Name, func(t *testing.T) {
			want := v.said(t)
			got, err := protocol.Decode(v.frames)
			if err != nil {
				t.Fatalf("%s: %v", v.About, err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s:\nread %#v\nwant %#v", v.About, got, want)
			}
			frames, err := protocol.Encode(got)
			if err != nil {
				t.Fatalf("%s: encode what was decoded: %v", v.About, err)
			}
			if v.Canonical && !reflect.DeepEqual(frames, v.frames) {
				t.Fatalf("%s:\nwrote  %q\nPython %q", v.About, frames, v.frames)
			}
			again, err := protocol.Decode(frames)
			if err != nil || !reflect.DeepEqual(again, want) {
				t.Fatalf("%s: after a round trip:\nread %#v (%v)\nwant %#v", v.About, again, err, want)
			}
		})
	}
	for op := range payloads() {
		if !seen[op] {
			t.Errorf("no vector for %s", op)
		}
	}
}

func readBroken(t *testing.T, v vector) {
	message, err := protocol.Decode(v.frames)
	if message.Payload != nil {
		t.Fatalf("%s: read %#v", v.About, message.Payload)
	}
	var kind protocol.ErrorKind
	for _, candidate := range kinds {
		if errors.Is(err, candidate) {
			kind = candidate
		}
	}
	if kind.String() != v.Kind {
		t.Fatalf("%s: kind %v, want %s (%v)", v.About, kind, v.Kind, err)
	}
	var content *protocol.JSONError
	if errors.As(err, &content) && content.Field != v.Field {
		t.Fatalf("%s: field %q, want %q (%v)", v.About, content.Field, v.Field, err)
	}
}

var kinds = []protocol.ErrorKind{
	protocol.ErrInvalidOpCode, protocol.ErrHeaderTooShort, protocol.ErrVersionMismatch,
	protocol.ErrPayloadLengthMismatch, protocol.ErrJSON, protocol.ErrIO,
}
