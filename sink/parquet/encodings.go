package parquet

import (
	"math/bits"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	pq "github.com/apache/arrow-go/v18/parquet"
)

// How many values a column's encoding is chosen by: stretches of neighbours,
// because deltas are between neighbours, spread over the first batch of the row
// group.
const (
	sampleStretches = 16
	stretchValues   = 64
)

// chooseEncodings looks at a sample of each flat column and says how to encode
// it. Nested columns keep the default: a dictionary until it grows too large.
func chooseEncodings(first arrow.RecordBatch) []pq.WriterProperty {
	var choices []pq.WriterProperty
	for i, column := range first.Columns() {
		name := first.ColumnName(i)
		// Encodings are asked for by path: "a.b" could be a field of a struct, too.
		if column.Len() == 0 || strings.Contains(name, ".") {
			continue
		}
		s := sample(column)
		if !s.flat || first.Schema().Field(i).Metadata.Equal(readAsDictionary) {
			continue
		}
		switch {
		case s.distinct*4 <= s.values:
			// Few values: the default, a dictionary.
		case s.deltaBits > 0 && s.deltaBits*4 <= s.width*3:
			choices = append(choices, pq.WithDictionaryFor(name, false), pq.WithEncodingFor(name, pq.Encodings.DeltaBinaryPacked))
		case s.text:
			choices = append(choices, pq.WithDictionaryFor(name, false), pq.WithEncodingFor(name, pq.Encodings.DeltaLengthByteArray))
		default:
			choices = append(choices, pq.WithDictionaryFor(name, false))
		}
	}
	return choices
}

// sampled is what a sample shows of a column.
type sampled struct {
	flat      bool
	text      bool
	values    int // looked at, nulls left out
	distinct  int
	width     int // bits of a number, 0 for others
	deltaBits int // mean bits of the difference to the neighbour
}

func sample(column arrow.Array) sampled {
	switch c := column.(type) {
	case *array.Int8:
		return sampleNumbers(column, c.Int8Values(), 32)
	case *array.Int16:
		return sampleNumbers(column, c.Int16Values(), 32)
	case *array.Int32:
		return sampleNumbers(column, c.Int32Values(), 32)
	case *array.Int64:
		return sampleNumbers(column, c.Int64Values(), 64)
	case *array.Uint8:
		return sampleNumbers(column, c.Uint8Values(), 32)
	case *array.Uint16:
		return sampleNumbers(column, c.Uint16Values(), 32)
	case *array.Uint32:
		return sampleNumbers(column, c.Uint32Values(), 32)
	case *array.Uint64:
		return sampleNumbers(column, c.Uint64Values(), 64)
	case *array.Date32:
		return sampleNumbers(column, c.Date32Values(), 32)
	case *array.Time32:
		return sampleNumbers(column, c.Time32Values(), 32)
	case *array.Time64:
		return sampleNumbers(column, c.Time64Values(), 64)
	case *array.Timestamp:
		return sampleNumbers(column, c.TimestampValues(), 64)
	case *array.Float32:
		return sampleValues(column, c.Value)
	case *array.Float64:
		return sampleValues(column, c.Value)
	case *array.Decimal128:
		return sampleValues(column, c.Value)
	case *array.Decimal256:
		return sampleValues(column, c.Value)
	case *array.FixedSizeBinary:
		return sampleValues(column, func(i int) string { return string(c.Value(i)) })
	case *array.Binary:
		s := sampleValues(column, func(i int) string { return string(c.Value(i)) })
		s.text = true
		return s
	case *array.LargeBinary:
		s := sampleValues(column, func(i int) string { return string(c.Value(i)) })
		s.text = true
		return s
	case array.StringLike:
		s := sampleValues(column, c.Value)
		s.text = true
		return s
	}
	return sampled{}
}

func sampleNumbers[T ~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64](
	column arrow.Array, values []T, width int) sampled {
	s := sampleValues(column, func(i int) T { return values[i] })
	s.width = width
	var total, count int
	eachStretch(column.Len(), func(from, to int) {
		for i := from + 1; i < to; i++ {
			delta := int64(values[i]) - int64(values[i-1])
			total += bits.Len64(uint64(delta<<1 ^ delta>>63))
			count++
		}
	})
	if count > 0 {
		s.deltaBits = max(1, total/count)
	}
	return s
}

func sampleValues[T comparable](column arrow.Array, value func(int) T) sampled {
	s := sampled{flat: true}
	seen := make(map[T]struct{}, sampleStretches*stretchValues)
	eachStretch(column.Len(), func(from, to int) {
		for i := from; i < to; i++ {
			if column.IsValid(i) {
				s.values++
				seen[value(i)] = struct{}{}
			}
		}
	})
	s.distinct = len(seen)
	return s
}

func eachStretch(length int, visit func(from, to int)) {
	if length <= sampleStretches*stretchValues {
		visit(0, length)
		return
	}
	for k := range sampleStretches {
		from := k * (length - stretchValues) / (sampleStretches - 1)
		visit(from, from+stretchValues)
	}
}
