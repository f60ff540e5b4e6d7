package rowgroup

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
)

// UnsupportedTypeError names a column whose Arrow type has no Parquet form.
// [New] gives it, so nothing has been written yet.
type UnsupportedTypeError struct {
	Column string // the column's path, with dots
	Type   arrow.DataType
	Reason string
}

func (e *UnsupportedTypeError) Error() string {
	return fmt.Sprintf("column %s: Arrow type %s cannot be written to Parquet: %s", e.Column, e.Type, e.Reason)
}

// NullError says that a column declared as not nullable holds a null.
type NullError struct{ Column string }

func (e *NullError) Error() string {
	return fmt.Sprintf("column %s is declared not nullable and holds a null", e.Column)
}

// ValueError says that a value has no exact Parquet form: a timestamp in
// seconds that overflows as milliseconds, an interval with a part of a
// millisecond, a decimal with more digits than its type declares.
type ValueError struct {
	Column string
	Reason string
}

func (e *ValueError) Error() string { return fmt.Sprintf("column %s: %s", e.Column, e.Reason) }

// BatchError says that a batch does not have the encoder's schema, or that its
// memory contradicts itself (an offset behind the end of the data, say).
type BatchError struct {
	Column string // empty: the batch as a whole
	Reason string
}

func (e *BatchError) Error() string {
	if e.Column == "" {
		return "malformed record batch: " + e.Reason
	}
	return fmt.Sprintf("malformed record batch: column %s: %s", e.Column, e.Reason)
}

// BloomError names a column of Options.BloomColumns that cannot have a Bloom
// filter.
type BloomError struct {
	Column string
	Reason string
}

func (e *BloomError) Error() string {
	return fmt.Sprintf("bloom filter of column %q: %s", e.Column, e.Reason)
}
