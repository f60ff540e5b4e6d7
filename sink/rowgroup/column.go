package rowgroup

import (
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// limits bound what one column may take.
type limits struct {
	pageRows         int
	pageBytes        int
	dictionaryValues int
	dictionaryBytes  int
	// dictionaryWindow is the largest range of integers that a dictionary looks
	// up directly, four bytes each.
	dictionaryWindow int
}

// column encodes one leaf. Its methods are called by one goroutine at a time.
type column struct {
	*leaf
	limits limits
	codec  Compression
	compat bool

	pending      pendingPage
	slotsPerRow  float64 // of nested columns, seen lately
	bytesPerRow  float64
	bloomWanted  bool
	orderWatched bool

	// The chunk of the present row group.
	store      pageStore
	mode       encoding // of pages to come
	codecUse   codecUse
	pages      []pageEntry
	boundBytes []byte // what the bounds in pages point into
	pageCounts [encodingCount]int32
	rows       int64
	slots      int64
	nulls      int64
	raw        int64 // bytes of pages and headers before compression
	dict32     intDictionary[int32]
	dict64     intDictionary[int64]
	dictBytes  bytesDictionary
	levelsSeen levelCounts
	bloom      bloomBuilder
	sorted     sortWatch
}

// codecUse is what the codec is to do with the pages of a chunk.
type codecUse uint8

const (
	notTried codecUse = iota
	withoutCodec
	withCodec
	withTurns // Snappy's second encoder takes the large ones
)

// begin makes the column ready for another row group.
func (c *column) begin() {
	c.store.reset()
	c.mode, c.codecUse = undecided, notTried
	if c.codec == None {
		c.codecUse = withoutCodec
	}
	c.pages, c.boundBytes = c.pages[:0], c.boundBytes[:0]
	clear(c.pageCounts[:])
	c.rows, c.slots, c.nulls, c.raw = 0, 0, 0, 0
	c.dict32.reset()
	c.dict64.reset()
	c.dictBytes.reset()
	c.dictBytes.fixed = c.phys == fixedBytes
	c.levelsSeen.reset(c.leaf)
	c.bloom.reset()
	c.sorted = sortWatch{}
	c.pending.reset(c.leaf)
}

// write encodes rows of a batch's column. What does not fill a page is copied
// and waits.
func (c *column) write(w *workspace, data arrow.ArrayData) error {
	for row, rows := 0, data.Len(); row < rows; {
		left := rows - row
		want := c.pageTarget() - c.pending.rows
		if want < 1 {
			want = 1
		}
		if c.pending.rows == 0 && left < want+want/4 {
			want = left // no small page behind a full one
		}
		took, err := c.load(w, data, row, min(want, left))
		if err != nil {
			return err
		}
		p := &w.content
		if c.pending.rows == 0 && c.fills(p, 4) {
			if err := c.encode(w, p); err != nil {
				return err
			}
		} else {
			c.pending.append(c.leaf, p)
			if c.fills(&c.pending.pageContent, 1) {
				if err := c.encodePending(w); err != nil {
					return err
				}
			}
		}
		row += took
	}
	return nil
}

// fills tells whether a page has at least one part-th of what a page may have.
func (c *column) fills(p *pageContent, part int) bool {
	return p.rows >= c.limits.pageRows/part || p.slots >= c.limits.pageRows/part || p.values.bytes(c.leaf) >= c.limits.pageBytes/part
}

// pageTarget is the number of rows that will make about one page.
func (c *column) pageTarget() int {
	rows := float64(c.limits.pageRows)
	if c.slotsPerRow > 1 {
		rows /= c.slotsPerRow
	}
	if c.bytesPerRow*rows > float64(c.limits.pageBytes) {
		rows = float64(c.limits.pageBytes) / c.bytesPerRow
	}
	return max(1, int(rows))
}

// load fills w.content with rows of a column, fewer than asked for if they
// would make too large a page. It tells how many rows it took.
func (c *column) load(w *workspace, data arrow.ArrayData, row, rows int) (int, error) {
	for {
		err := c.loadRows(w, data, row, rows)
		if err == nil {
			p := &w.content
			c.slotsPerRow = float64(p.slots) / float64(rows)
			c.bytesPerRow = float64(p.values.bytes(c.leaf)) / float64(rows)
			if rows == 1 || p.slots <= 4*c.limits.pageRows && p.values.bytes(c.leaf) <= 4*c.limits.pageBytes {
				return rows, nil
			}
		} else if _, many := err.(*tooManySlots); !many || rows == 1 {
			if many {
				err = &ValueError{Column: c.name, Reason: "a single row has more than a page can hold"}
			}
			return 0, err
		}
		rows = (rows + 1) / 2
	}
}

func (c *column) loadRows(w *workspace, data arrow.ArrayData, row, rows int) error {
	w.oneRow = rows == 1
	if c.flat {
		done, err := c.loadFlat(w, data, row, rows)
		if done || err != nil {
			return err
		}
	}
	limit := 16 * c.limits.pageRows
	if rows == 1 {
		limit = rowSlots
	}
	l := &w.levels
	array, err := l.walk(c.leaf, data, row, rows, limit)
	if err != nil {
		return err
	}
	p := &w.content
	p.rows, p.slots = rows, l.slots
	p.bitmap, p.defs, p.reps = nil, nil, nil
	if !l.allOpen {
		p.defs = l.defs
	}
	if l.rep > 0 {
		p.reps = l.reps
	}
	sel := selection{count: l.open, spans: l.spans}
	return w.extract(c.leaf, array, &sel, &p.values)
}

// loadFlat is the short way for a column that is no group: its validity bitmap
// is its definition levels. It leaves wrappers of wrappers to the long way.
func (c *column) loadFlat(w *workspace, data arrow.ArrayData, row, rows int) (bool, error) {
	values := data
	indexed := wrapped(data.DataType())
	bitmap := validity(data)
	at := data.Offset() + row
	if indexed {
		switch dt := storage(data.DataType()).(type) {
		case *arrow.DictionaryType:
			values = data.Dictionary()
			if wrapped(dt.ValueType) || validity(values) != nil && values.Len() > 0 {
				return false, nil
			}
		case *arrow.RunEndEncodedType:
			if len(data.Children()) != 2 {
				return false, nil
			}
			values = data.Children()[1]
			if wrapped(dt.Encoded()) || validity(values) != nil {
				return false, nil
			}
			bitmap = nil
		}
	}
	p := &w.content
	p.rows, p.slots = rows, rows
	p.bitmap, p.at, p.defs, p.reps = nil, at, nil, nil
	sel := selection{count: rows, at: at, n: rows}
	if storage(values.DataType()).ID() == arrow.NULL {
		sel.count = 0
	} else if bitmap != nil {
		if sel.count = countBits(bitmap, at, rows); sel.count < rows {
			p.bitmap, sel.bitmap = bitmap, bitmap
		}
	}
	if sel.count < rows && c.maxDef == 0 {
		return false, &NullError{Column: c.name}
	}
	return true, w.extract(c.leaf, data, &sel, &p.values)
}

func (c *column) encodePending(w *workspace) error {
	if c.pending.rows == 0 {
		return nil
	}
	err := c.encode(w, c.pending.content())
	c.pending.reset(c.leaf)
	return err
}

// encode appends one data page.
func (c *column) encode(w *workspace, p *pageContent) error {
	w.head = appendLevels(w.head[:0], c.leaf, p)
	w.segments = append(w.segments[:0], w.head)
	v := &p.values
	enc := plain
	var b bounds
	if v.n > 0 {
		switch c.phys {
		case boolean:
			enc, b = c.encodeBools(w, v.bits, v.n)
		case int32Type, floatType:
			enc, b = encodeInts(c, w, v.i32, &c.dict32)
		case int64Type, doubleType:
			enc, b = encodeInts(c, w, v.i64, &c.dict64)
		case fixedBytes:
			enc, b = c.encodeFixed(w, v.fixed)
		case byteArray:
			enc, b = c.encodeBytes(w, &v.str)
		}
		if c.orderWatched {
			c.sorted.watch(c.leaf, p)
		}
	}
	if c.orderWatched && v.n < p.slots {
		c.sorted.broken = true
	}
	if c.bloomWanted && enc != dictionaryIndex {
		c.bloom.addValues(c.leaf, v)
	}

	if c.codecUse == notTried {
		// A page of a few bytes says nothing. It is compressed as it is, which
		// binds the chunk to the codec.
		const telling = 512
		body := w.segments[0]
		if len(w.segments) > 1 {
			body = w.join(w.segments)
			w.segments = append(w.segments[:0], body)
		}
		c.codecUse = withCodec
		if len(body) >= telling {
			var err error
			if c.codecUse, err = c.chooseCodecUse(w, body, c.dictionaryPlain()); err != nil {
				return err
			}
		}
	}
	body, raw, size, err := w.body(w.segments, c.codecUse)
	if err != nil {
		if big, ok := err.(*tooLarge); ok {
			return &ValueError{Column: c.name, Reason: big.Error()}
		}
		return err
	}
	header := w.header(dataPage, raw, size, p.slots, enc, body)
	if c.phys == byteArray && v.n > 0 && enc != dictionaryIndex {
		// The codec reads slower than memory gives, and so waits for nothing.
		// Behind it the values are in the cache, where their bounds are quick.
		lowest, highest := bytesBounds(&v.str)
		b.setBytes(lowest, highest, c.text)
	}
	entry := pageEntry{
		offset:   c.store.size,
		size:     int32(len(header) + size),
		firstRow: c.rows,
		nulls:    int64(p.slots - v.n),
		allNull:  v.n == 0,
	}
	entry.keep(&c.boundBytes, &b)
	if c.phys == byteArray && v.n > 0 {
		entry.unencoded = int64(v.str.total)
	}
	c.pages = append(c.pages, entry)
	c.levelsSeen.add(c.leaf, p)
	c.store.write(header)
	for _, s := range body {
		c.store.write(s)
	}
	w.work.Worked(raw)
	c.pageCounts[enc]++
	c.raw += int64(len(header) + raw)
	c.rows += int64(p.rows)
	c.slots += int64(p.slots)
	c.nulls += entry.nulls
	return nil
}

// dictionaryPlain is the body of the dictionary page as it would be now.
func (c *column) dictionaryPlain() []byte {
	switch c.phys {
	case int32Type, floatType:
		return bytesOf(c.dict32.values)
	case int64Type, doubleType:
		return bytesOf(c.dict64.values)
	default:
		return c.dictBytes.plain
	}
}

func (c *column) dictionaryLen() int {
	switch c.phys {
	case int32Type, floatType:
		return len(c.dict32.values)
	case int64Type, doubleType:
		return len(c.dict64.values)
	default:
		return c.dictBytes.len()
	}
}

// waiting is how many bytes the column holds.
func (c *column) waiting() int64 {
	return c.store.size + int64(len(c.dictionaryPlain())) + int64(c.pending.values.bytes(c.leaf))
}

// pendingPage collects the rows of small batches until they fill a page.
type pendingPage struct {
	pageContent
	valid bitWriter // of a flat column: its bitmap
	bools bitWriter
	nulls bool
}

func (p *pendingPage) reset(lf *leaf) {
	p.rows, p.slots, p.nulls = 0, 0, false
	p.valid.reset()
	p.bools.reset()
	p.defs, p.reps = p.defs[:0], p.reps[:0]
	v := &p.values
	v.n = 0
	v.i32, v.i64, v.fixed = v.i32[:0], v.i64[:0], v.fixed[:0]
	v.str = byteSlices{data: v.str.data[:0], start: v.str.start[:0], size: v.str.size[:0], packed: true}
}

// append copies the content of another page behind this one.
func (p *pendingPage) append(lf *leaf, more *pageContent) {
	p.rows += more.rows
	p.slots += more.slots
	switch {
	case lf.flat && more.defs == nil:
		switch {
		case more.bitmap != nil:
			p.nulls = true
			p.valid.addRange(more.bitmap, more.at, more.slots)
		case more.values.n == 0 && more.slots > 0:
			p.nulls = true
			for range more.slots {
				p.valid.add(0, 1)
			}
		default:
			p.valid.addOnes(more.slots)
		}
	case lf.flat:
		// The long way gave levels, which for a flat column are its validity.
		p.nulls = true
		for _, d := range more.defs[:more.slots] {
			p.valid.add(uint64(d), 1)
		}
	default:
		if more.defs != nil {
			p.defs = append(p.defs, more.defs[:more.slots]...)
		} else {
			at := len(p.defs)
			p.defs = slices.Grow(p.defs, more.slots)[:at+more.slots]
			fill(p.defs[at:], lf.maxDef)
		}
		if more.reps != nil {
			p.reps = append(p.reps, more.reps[:more.slots]...)
		} else if lf.maxRep > 0 {
			at := len(p.reps)
			p.reps = slices.Grow(p.reps, more.slots)[:at+more.slots]
			fill(p.reps[at:], 0)
		}
	}
	v, m := &p.values, &more.values
	v.n += m.n
	switch lf.phys {
	case boolean:
		if m.n > 0 {
			p.bools.addRange(m.bits, 0, m.n)
		}
	case int32Type, floatType:
		v.i32 = append(v.i32, m.i32...)
	case int64Type, doubleType:
		v.i64 = append(v.i64, m.i64...)
	case fixedBytes:
		v.fixed = append(v.fixed, m.fixed...)
	case byteArray:
		s := &v.str
		at := len(s.data)
		s.data = m.str.appendRange(s.data, 0, len(m.str.start))
		for _, n := range m.str.size {
			s.start = append(s.start, at)
			at += int(n)
		}
		s.size = append(s.size, m.str.size...)
		s.total = len(s.data)
	}
}

// content is the collected page.
func (p *pendingPage) content() *pageContent {
	c := &p.pageContent
	c.bitmap, c.at = nil, 0
	if p.nulls && c.values.n > 0 {
		c.bitmap = p.valid.bytes()
	}
	c.values.bits = p.bools.bytes()
	return c
}
