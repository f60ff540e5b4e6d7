package rowgroup

import (
	"bytes"
	"math"
)

// parquet.thrift, SortingColumn: the order of the rows in a row group, recorded
// only where every value has been compared with the one before.

// SortingColumn says by which column a row group's rows are sorted.
type SortingColumn struct {
	Column     int32 // the leaf's place among all leaves
	Descending bool
	NullsFirst bool
}

// sortWatch follows one column through a row group.
type sortWatch struct {
	started         bool
	broken          bool // it is not sorted, or that cannot be told
	falling, rising bool // a step of that kind was met
	lastInt         int64
	lastFloat       float64
	lastBytes       []byte
}

func (s *sortWatch) step(d int) {
	if d < 0 {
		s.falling = true
	} else if d > 0 {
		s.rising = true
	}
}

// watch looks at the values of one more page.
func (s *sortWatch) watch(lf *leaf, p *pageContent) {
	if s.broken || s.falling && s.rising {
		return
	}
	v := &p.values
	switch lf.order {
	case int32Order, uint32Order:
		watchInts(s, v.i32, lf.order == uint32Order)
	case int64Order, uint64Order:
		watchInts(s, v.i64, lf.order == uint64Order)
	case floatOrder:
		watchFloats(s, viewAs[float32](bytesOf(v.i32)))
	case doubleOrder:
		watchFloats(s, viewAs[float64](bytesOf(v.i64)))
	case bytesOrder:
		if lf.phys != byteArray {
			s.broken = true
			return
		}
		for i := range v.str.start {
			x := v.str.at(i)
			if i > 0 {
				s.step(bytes.Compare(x, v.str.at(i-1)))
			} else if s.started {
				s.step(bytes.Compare(x, s.lastBytes))
			}
			if s.falling && s.rising {
				return
			}
		}
		s.lastBytes = append(s.lastBytes[:0], v.str.at(v.n-1)...)
	default:
		s.broken = true
	}
	s.started = true
}

func watchInts[T int32 | int64](s *sortWatch, v []T, unsigned bool) {
	var flip T
	if unsigned {
		flip = T(1) << (bitsOf[T]() - 1)
	}
	prev := v[0] ^ flip
	if s.started {
		prev = T(s.lastInt)
	}
	for _, x := range v {
		x ^= flip
		if x < prev {
			s.falling = true
		} else if x > prev {
			s.rising = true
		}
		if s.falling && s.rising {
			return
		}
		prev = x
	}
	s.lastInt = int64(prev)
}

func watchFloats[F float32 | float64](s *sortWatch, v []F) {
	prev := float64(v[0])
	if s.started {
		prev = s.lastFloat
	}
	for _, f := range v {
		x := float64(f)
		if math.IsNaN(x) {
			s.broken = true
			return
		}
		if x < prev {
			s.falling = true
		} else if x > prev {
			s.rising = true
		}
		prev = x
	}
	s.lastFloat = prev
}

// order gives the direction; ok is false if there is none.
func (s *sortWatch) order() (descending, ok bool) {
	if !s.started || s.broken || s.falling && s.rising {
		return false, false
	}
	return s.falling, true
}
