package protocol

import (
	"errors"
	"math"
	"testing"
)

// A payload above 4 GiB is refused by its length alone, without making one.
func TestPayloadLengthFitsIntoTheHeader(t *testing.T) {
	h := Header{Op: OpDispatch, JobID: 7}
	if got, err := payloadLength(h, math.MaxUint32); err != nil || got != math.MaxUint32 {
		t.Fatalf("2^32-1 bytes: %d, %v", got, err)
	}
	_, err := payloadLength(h, math.MaxUint32+1)
	var tooLong *PayloadLengthMismatchError
	if !errors.As(err, &tooLong) || tooLong.Got != 1<<32 || tooLong.Header != h {
		t.Fatalf("2^32 bytes: %#v", err)
	}
}
