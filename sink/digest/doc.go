// Package digest tells whether two runs of a plugin gave the same batches.
//
// The digest of a batch is over its topic, its schema and its values, 64 bits by
// xxHash. What is not part of the data does not count: padding, where in its
// buffers a slice begins, what lies under a null, whether a batch without nulls
// says so with a bitmap, the order of a dictionary's entries, how runs are cut.
// Types count as they are: the same numbers in another width are other data.
//
// It is stable: equal data has equal digests in every process, on every platform.
// It is meant against chance, not against an adversary.
package digest

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cespare/xxhash/v2"
)

// Sum is the digest of one batch, or of a sequence of them. 0 is that of none.
type Sum uint64

// String gives sixteen hexadecimal digits.
func (s Sum) String() string { return fmt.Sprintf("%016x", uint64(s)) }

// Parse reads what String wrote.
func Parse(text string) (Sum, error) {
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil || len(text) != 16 {
		return 0, fmt.Errorf("%q is no digest of batches", text)
	}
	return Sum(n), nil
}

// Then gives the digest of the sequence with one more batch behind it.
func (s Sum) Then(batch Sum) Sum {
	var both [16]byte
	binary.LittleEndian.PutUint64(both[:], uint64(s))
	binary.LittleEndian.PutUint64(both[8:], uint64(batch))
	return Sum(xxhash.Sum64(both[:]))
}

// UnsupportedTypeError: there is no digest of values of this type.
type UnsupportedTypeError struct{ Type arrow.DataType }

func (e *UnsupportedTypeError) Error() string {
	return "no digest of values of type " + e.Type.String()
}

// Batch gives the digest of one batch. Its arrays must be sound. The only error is
// an [*UnsupportedTypeError] (unions).
func Batch(topic string, batch arrow.RecordBatch) (Sum, error) {
	h := hashers.Get().(*hasher)
	defer hashers.Put(h)
	h.out.Reset()
	h.text(topic)
	h.number(uint64(batch.NumRows()))
	for _, field := range batch.Schema().Fields() {
		h.field(field)
	}
	all := []span{{0, int(batch.NumRows())}}
	for _, column := range batch.Columns() {
		if err := h.values(column.Data(), all); err != nil {
			return 0, err
		}
		h.work.Worked(int(column.Data().SizeInBytes()))
	}
	return Sum(h.out.Sum64()), nil
}
