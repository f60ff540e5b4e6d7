package journal

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
)

// Digest is a SHA-256 in lower-case hex: the name of a blob, the link of the
// hash chain, the content of a dispatch.
type Digest string

// DigestOf gives the digest of content.
func DigestOf(content []byte) Digest {
	sum := sha256.Sum256(content)
	return Digest(hex.EncodeToString(sum[:]))
}

// Content is the digest that tells whether two dispatches ask for the same. The
// order and the repetition of sinks do not count: a Sentinel appends its
// configured sinks again each time that it reloads. Their schemas do not count
// either: nothing reads them.
func (spec JobSpec) Content() Digest {
	spec.Sinks = DistinctSinks(spec.Sinks)
	slices.SortFunc(spec.Sinks, func(a, b SinkSpec) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.URI, b.URI), cmp.Compare(a.Mode, b.Mode))
	})
	for i := range spec.Sinks {
		spec.Sinks[i].Schema = nil
	}
	encoded, err := json.Marshal(spec)
	if err != nil {
		panic("journal: a JobSpec always encodes: " + err.Error())
	}
	return DigestOf(encoded)
}

// Same tells whether two specs are one place for the rows of one topic.
func (s SinkSpec) Same(other SinkSpec) bool {
	return s.Topic == other.Topic && s.URI == other.URI && s.Mode == other.Mode
}

// DistinctSinks returns the sinks without repetitions of (topic, uri, mode), in
// their first order. The slice given is left as it was.
func DistinctSinks(sinks []SinkSpec) []SinkSpec {
	type key struct{ topic, uri, mode string }
	seen := make(map[key]bool, len(sinks))
	distinct := make([]SinkSpec, 0, len(sinks))
	for _, sink := range sinks {
		k := key{sink.Topic, sink.URI, sink.Mode}
		if !seen[k] {
			seen[k] = true
			distinct = append(distinct, sink)
		}
	}
	return distinct
}
