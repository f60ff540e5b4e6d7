package digest

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cespare/xxhash/v2"

	"github.com/casparian-flow/casparian-worker/sink/yield"
)

// hasher feeds the canonical form of values to the hash. The form is a stream of
// bytes that says how long each of its parts is, so that no two different batches
// have the same.
//
// Values are visited by spans: the parts of an array that count. A list that is
// null leaves its elements out, a struct its fields.
type hasher struct {
	out     *xxhash.Digest
	scratch []byte
	work    yield.Counter
}

// hashers keeps some for the next batch: of a small job there is only one.
var hashers = sync.Pool{New: func() any { return &hasher{out: xxhash.New()} }}

// span is the values [from, to) of an array, its own offset not included.
type span struct{ from, to int }

// add puts a span behind others, joined to the last where they meet.
func add(spans []span, from, to int) []span {
	if from == to {
		return spans
	}
	if last := len(spans) - 1; last >= 0 && spans[last].to == from {
		spans[last].to = to
		return spans
	}
	return append(spans, span{from, to})
}

func (h *hasher) bytes(b []byte) { _, _ = h.out.Write(b) }

func (h *hasher) number(n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	h.bytes(b[:])
}

func (h *hasher) text(s string) {
	h.number(uint64(len(s)))
	_, _ = h.out.WriteString(s)
}

// field takes name, type and, for extension types that nobody registered, what
// the metadata says of them.
func (h *hasher) field(f arrow.Field) {
	h.text(f.Name)
	h.text(f.Type.String())
	for _, key := range []string{"ARROW:extension:name", "ARROW:extension:metadata"} {
		value, _ := f.Metadata.GetValue(key)
		h.text(value)
	}
}

// chunk is how much is gathered before it is hashed.
const chunk = 32 << 10

// buffer gives scratch of n bytes, of any content.
func (h *hasher) buffer(n int) []byte {
	if cap(h.scratch) < n {
		h.scratch = make([]byte, max(n, chunk))
	}
	return h.scratch[:n]
}

// validity takes the bitmap of the values in spans, and gives the spans that are
// not null. Without a null it takes one word, whether there is a bitmap or not.
func (h *hasher) validity(data arrow.ArrayData, spans []span) (valid []span) {
	bitmap := bitmapOf(data)
	nulls := 0
	for _, s := range spans {
		if bitmap == nil {
			break
		}
		at, end := data.Offset()+s.from, data.Offset()+s.to
		nulls += (end - at) - ones(bitmap, at, end)
	}
	h.number(uint64(nulls))
	if nulls == 0 {
		return spans
	}
	packer := packer{h: h}
	for _, s := range spans {
		at := data.Offset() + s.from
		for n := s.to - s.from; n > 0; {
			take := min(n, 64)
			word := bitsAt(bitmap, at, take)
			packer.add(word, take)
			for done := 0; done < take; {
				zeros := min(bits.TrailingZeros64(word>>done), take-done)
				done += zeros
				if done < take {
					run := min(bits.TrailingZeros64(^(word >> done)), take-done)
					from := at - data.Offset() + done
					valid = add(valid, from, from+run)
					done += run
				}
			}
			at += take
			n -= take
		}
	}
	packer.close()
	return valid
}

// bitmapOf is an array's validity, nil when all of it is valid.
func bitmapOf(data arrow.ArrayData) []byte {
	if bitmap := data.Buffers()[0]; bitmap != nil && bitmap.Len() > 0 && data.NullN() != 0 {
		return bitmap.Bytes()
	}
	return nil
}

// bitsAt reads n bits, at most 64, from bit at on.
func bitsAt(bitmap []byte, at, n int) uint64 {
	first := at / 8
	shift := at % 8
	var word uint64
	if first+8 <= len(bitmap) {
		word = binary.LittleEndian.Uint64(bitmap[first:])
	} else {
		var tail [8]byte
		copy(tail[:], bitmap[first:])
		word = binary.LittleEndian.Uint64(tail[:])
	}
	word >>= shift
	if shift+n > 64 {
		word |= uint64(bitmap[first+8]) << (64 - shift)
	}
	if n < 64 {
		word &= 1<<n - 1
	}
	return word
}

// ones counts the set bits of [at, end).
func ones(bitmap []byte, at, end int) (n int) {
	for ; at < end; at += 64 {
		n += bits.OnesCount64(bitsAt(bitmap, at, min(64, end-at)))
	}
	return n
}

// packer puts pieces of bitmaps together, and takes them in whole words.
type packer struct {
	h    *hasher
	word uint64
	held int
}

// add takes n bits, at most 64; those above are zero.
func (p *packer) add(word uint64, n int) {
	p.word |= word << p.held
	if p.held+n < 64 {
		p.held += n
		return
	}
	p.h.number(p.word)
	taken := 64 - p.held
	p.word, p.held = 0, n-taken
	if taken < 64 {
		p.word = word >> taken
	}
}

func (p *packer) close() {
	if p.held > 0 {
		p.h.number(p.word)
	}
}
