package parquet

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/casparian-flow/casparian-worker/sink"
)

// Tokens are kept in a journal for as long as a job lives, perhaps across an
// upgrade of the worker: each says its own kind and version.
const (
	// Version 1 had the metadata of row groups in another form, version 2 no encoding.
	flushedKind = "parquet-flushed/3"
	sealedKind  = "parquet-sealed/1"
)

// flushed is the token of Writer.Checkpoint. It stays small however long the file
// is: the metadata of the row groups is in the file, in checkpoints.
type flushed struct {
	Kind       string `json:"kind"`
	Staging    string `json:"staging"`  // path below the output root, slashes
	Encoding   string `json:"encoding"` // fingerprint of the options it was written with
	End        int64  `json:"end"`      // the file is durable up to here
	Rows       int64  `json:"rows"`
	Checkpoint int64  `json:"checkpoint"` // offset of the last checkpoint
	Checksum   uint32 `json:"checksum"`   // of that checkpoint
}

// sealed is the token of Writer.Seal.
type sealed struct {
	Kind    string `json:"kind"`
	Staging string `json:"staging"` // path below the output root, slashes
	Final   string `json:"final"`   // path below the output root, slashes
	Size    int64  `json:"size"`
	// Footer is the SHA-256 of the file's footer. The footer names job,
	// generation and attempt, so no two outputs have the same.
	Footer       string `json:"footer"`
	FooterLength int64  `json:"footer_length"`
	Rows         int64  `json:"rows"`
}

func (t flushed) marshal() (sink.Token, error) {
	t.Kind = flushedKind
	return json.Marshal(t)
}

func (t sealed) marshal() (sink.Token, error) {
	t.Kind = sealedKind
	return json.Marshal(t)
}

func parseFlushed(token sink.Token) (flushed, error) {
	var t flushed
	if err := parseToken(token, &t); err != nil {
		return t, err
	}
	if t.Kind != flushedKind {
		return t, &sink.TokenError{Reason: fmt.Sprintf("its kind is %q and %q was expected", t.Kind, flushedKind)}
	}
	if t.End < int64(len(magic)) || t.Checkpoint < int64(len(magic)) || t.Checkpoint >= t.End || t.Rows < 0 {
		return t, &sink.TokenError{Reason: "its offsets make no sense"}
	}
	return t, nil
}

func parseSealed(token sink.Token) (sealed, error) {
	var t sealed
	if err := parseToken(token, &t); err != nil {
		return t, err
	}
	if t.Kind != sealedKind {
		return t, &sink.TokenError{Reason: fmt.Sprintf("its kind is %q and %q was expected", t.Kind, sealedKind)}
	}
	if t.FooterLength < tailLength || t.Size < t.FooterLength {
		return t, &sink.TokenError{Reason: "its sizes make no sense"}
	}
	return t, nil
}

func parseToken(token sink.Token, into any) error {
	if emptyToken(token) {
		return &sink.TokenError{Reason: "it is empty: nothing was staged"}
	}
	if err := json.Unmarshal(token, into); err != nil {
		return &sink.TokenError{Reason: err.Error()}
	}
	return nil
}

// emptyToken also knows the null that a journal may have made of a missing one.
func emptyToken(token sink.Token) bool {
	trimmed := bytes.TrimSpace(token)
	return len(trimmed) == 0 || bytes.Equal(trimmed, []byte("null"))
}
