package protocol_test

import (
	"strings"
	"testing"

	"github.com/casparian-flow/casparian-worker/protocol"
)

// A job's plugin may be as large as people like; a heartbeat is what is said
// most often.
func BenchmarkRoundTrip(b *testing.B) {
	for name, payload := range map[string]protocol.Payload{
		"heartbeat":      protocol.Heartbeat{Status: protocol.Idle},
		"dispatch 16 MB": protocol.Dispatch{PluginName: "p", FilePath: "f", EnvHash: "system", SourceCode: strings.Repeat("x = 1  # <&>\n", 16<<20/13)},
	} {
		b.Run(name, func(b *testing.B) {
			frames, err := protocol.Encode(protocol.Message{JobID: 1, Payload: payload})
			if err != nil {
				b.Fatal(err)
			}
			b.Run("encode", func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(frames[1])))
				for b.Loop() {
					if _, err := protocol.Encode(protocol.Message{JobID: 1, Payload: payload}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("decode", func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(frames[1])))
				for b.Loop() {
					if _, err := protocol.Decode(frames); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
