package rowgroup

import (
	"fmt"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
)

// Arrow columnar format, "Physical Memory Layout": how to get from a batch's
// column to the values of one leaf.
//
// Positions count from the start of an array's buffers, so an array's own
// offset is added once, when the walk enters it. List offsets and dictionary
// indexes are relative to the child's offset instead.

// rowSlots bounds the slots that a single row may have in one column.
const rowSlots = 1 << 28

func buffer(data arrow.ArrayData, i int) []byte {
	if b := data.Buffers(); i < len(b) && b[i] != nil {
		return b[i].Bytes()
	}
	return nil
}

// validity is an array's bitmap, nil if it has no nulls.
func validity(data arrow.ArrayData) []byte {
	if data.NullN() == 0 {
		return nil
	}
	if b := buffer(data, 0); len(b) > 0 {
		return b
	}
	return nil
}

func malformed(column, format string, args ...any) error {
	return &BatchError{Column: column, Reason: fmt.Sprintf(format, args...)}
}

// walk leads rows [row, row+rows) of a column down to the values of a leaf. It
// gives the leaf's array; l.spans are the positions of its values there.
func (l *levels) walk(lf *leaf, data arrow.ArrayData, row, rows, limit int) (arrow.ArrayData, error) {
	l.start(data.Offset()+row, rows)
	data, err := l.descend(lf, data, limit)
	l.settle()
	return data, err
}

func (l *levels) descend(lf *leaf, data arrow.ArrayData, limit int) (arrow.ArrayData, error) {
	for _, s := range lf.steps {
		if s.optional {
			l.optional()
		}
		nulls := func(bitmap []byte) error {
			if bitmap != nil && l.close(bitmap) > 0 && !s.optional {
				return &NullError{Column: s.path}
			}
			return nil
		}
		for wrapped(data.DataType()) {
			var err error
			if data, err = l.unwrap(data, nulls, s.path); err != nil {
				return nil, err
			}
		}
		if storage(data.DataType()).ID() == arrow.NULL {
			l.closeAll()
			return data, nil
		}
		if err := nulls(validity(data)); err != nil {
			return nil, err
		}
		if s.kind == stepLeaf {
			return data, nil
		}
		children := data.Children()
		if s.child >= len(children) {
			return nil, malformed(s.path, "it has %d children, not more than %d", len(children), s.child)
		}
		child := children[s.child]
		if s.kind != stepStruct {
			if err := l.readLists(s, data, child); err != nil {
				return nil, err
			}
			if err := l.expand(limit); err != nil {
				return nil, err
			}
		}
		l.shift(child.Offset())
		data = child
		if k := len(l.spans); s.kind == stepStruct && k > 0 {
			for _, sp := range l.spans {
				if sp.start+sp.n > child.Offset()+child.Len() {
					return nil, malformed(s.path, "field %d is shorter than its struct", s.child)
				}
			}
		}
	}
	return data, nil
}

// storage takes extension types off.
func storage(dt arrow.DataType) arrow.DataType {
	for {
		x, ok := dt.(arrow.ExtensionType)
		if !ok {
			return dt
		}
		dt = x.StorageType()
	}
}

// unwrap leads from a dictionary or run-end encoded array to its values.
func (l *levels) unwrap(data arrow.ArrayData, nulls func([]byte) error, path string) (arrow.ArrayData, error) {
	switch t := storage(data.DataType()).(type) {
	case *arrow.DictionaryType:
		if err := nulls(validity(data)); err != nil {
			return nil, err
		}
		values := data.Dictionary()
		index := buffer(data, 1)
		size := t.IndexType.(arrow.FixedWidthDataType).Bytes()
		err := l.move(func(p int) (int, error) {
			k := readIndex(index, size, p)
			if k >= uint64(values.Len()) {
				return 0, malformed(path, "dictionary index %d of %d", k, values.Len())
			}
			return int(k) + values.Offset(), nil
		})
		return values, err
	case *arrow.RunEndEncodedType:
		ends, err := runEndsOf(data, path)
		if err != nil {
			return nil, err
		}
		values := data.Children()[1]
		err = l.move(func(p int) (int, error) {
			run, err := ends.find(p)
			if err != nil {
				return 0, err
			}
			return run + values.Offset(), nil
		})
		return values, err
	}
	return nil, malformed(path, "%s is not encoded", data.DataType())
}

// readIndex reads the p-th unsigned value of size bytes. A negative index
// reads as one far too large.
func readIndex(index []byte, size, p int) uint64 {
	switch size {
	case 1:
		return uint64(index[p])
	case 2:
		return uint64(viewAs[uint16](index)[p])
	case 4:
		return uint64(viewAs[uint32](index)[p])
	default:
		return viewAs[uint64](index)[p]
	}
}

// runEnds finds the run of a position. Positions usually rise, so it begins
// where the last one was found.
type runEnds struct {
	path   string
	size   int
	ends   []byte
	n      int
	at     int
	values int
}

func runEndsOf(data arrow.ArrayData, path string) (*runEnds, error) {
	children := data.Children()
	if len(children) != 2 {
		return nil, malformed(path, "a run-end encoded array has %d children", len(children))
	}
	e := children[0]
	size := e.DataType().(arrow.FixedWidthDataType).Bytes()
	b := buffer(e, 1)
	if e.Offset()+e.Len() > len(b)/size {
		return nil, malformed(path, "run ends are missing")
	}
	return &runEnds{path: path, size: size, ends: b[e.Offset()*size:], n: e.Len(), values: children[1].Len()}, nil
}

func (r *runEnds) end(run int) int {
	switch r.size {
	case 2:
		return int(viewAs[int16](r.ends)[run])
	case 4:
		return int(viewAs[int32](r.ends)[run])
	default:
		return int(viewAs[int64](r.ends)[run])
	}
}

func (r *runEnds) find(p int) (int, error) {
	inRun := func(run int) bool { return run < r.n && p < r.end(run) && (run == 0 || p >= r.end(run-1)) }
	switch {
	case inRun(r.at):
	case inRun(r.at + 1):
		r.at++
	default:
		r.at = sort.Search(r.n, func(run int) bool { return r.end(run) > p })
	}
	if r.at >= r.n || r.at >= r.values {
		return 0, malformed(r.path, "position %d lies behind the last run", p)
	}
	return r.at, nil
}

// readLists fills in which positions of the child each open slot's list covers,
// relative to the child's offset.
func (l *levels) readLists(s step, data, child arrow.ArrayData) error {
	l.lists = l.lists[:0]
	n := child.Len()
	for _, sp := range l.spans {
		var ok bool
		switch s.kind {
		case stepList:
			l.lists, ok = listsFromOffsets(l.lists, viewAs[int32](buffer(data, 1)), sp, n)
		case stepLargeList:
			l.lists, ok = listsFromOffsets(l.lists, viewAs[int64](buffer(data, 1)), sp, n)
		case stepListView:
			l.lists, ok = listsFromViews(l.lists, viewAs[int32](buffer(data, 1)), viewAs[int32](buffer(data, 2)), sp, n)
		case stepLargeListView:
			l.lists, ok = listsFromViews(l.lists, viewAs[int64](buffer(data, 1)), viewAs[int64](buffer(data, 2)), sp, n)
		case stepFixedList:
			if ok = sp.start+sp.n <= n/max(s.size, 1) || s.size == 0; ok {
				for p := sp.start; p < sp.start+sp.n; p++ {
					l.lists = append(l.lists, span{p * s.size, s.size})
				}
			}
		}
		if !ok {
			return malformed(s.path, "a list reaches outside of its %d elements", n)
		}
	}
	return nil
}

func listsFromOffsets[O int32 | int64](lists []span, offsets []O, sp span, n int) ([]span, bool) {
	offsets = offsets[sp.start : sp.start+sp.n+1]
	at := len(lists)
	lists = slices.Grow(lists, sp.n)[:at+sp.n]
	start := offsets[0]
	bad := start // negative as soon as an offset or a length is
	for i, end := range offsets[1:] {
		bad |= end | (end - start)
		lists[at+i] = span{int(start), int(end - start)}
		start = end
	}
	return lists, bad >= 0 && int64(start) <= int64(n)
}

func listsFromViews[O int32 | int64](lists []span, offsets, sizes []O, sp span, n int) ([]span, bool) {
	offsets, sizes = offsets[sp.start:sp.start+sp.n], sizes[sp.start:sp.start+sp.n]
	for i, start := range offsets {
		size := sizes[i]
		if start < 0 || size < 0 || int64(start) > int64(n)-int64(size) {
			return lists, false
		}
		lists = append(lists, span{int(start), int(size)})
	}
	return lists, true
}
