package rowgroup

// PageIndex.md: for every data page its bounds (ColumnIndex) and its place
// (OffsetIndex). Readers skip pages by the first and find rows by the second.

// pageEntry is what the page index says of one data page.
type pageEntry struct {
	offset    int64 // behind the first data page of the chunk
	size      int32 // with its header
	firstRow  int64 // in the row group
	nulls     int64
	nans      int64
	unencoded int64 // bytes of byte arrays, without lengths
	allNull   bool
	has       bool // there are bounds
	exactMin  bool
	exactMax  bool
	min, max  [2]int // from and to in the column's boundBytes
}

// keep copies the page's bounds to arena.
func (e *pageEntry) keep(arena *[]byte, b *bounds) {
	e.nans = b.nans
	if !b.has {
		return
	}
	e.has, e.exactMin, e.exactMax = true, b.minExact, b.maxExact
	e.min[0] = len(*arena)
	*arena = append(*arena, b.min...)
	e.min[1] = len(*arena)
	e.max[0] = len(*arena)
	*arena = append(*arena, b.max...)
	e.max[1] = len(*arena)
}

func (c *column) minOf(e *pageEntry) []byte { return c.boundBytes[e.min[0]:e.min[1]] }
func (c *column) maxOf(e *pageEntry) []byte { return c.boundBytes[e.max[0]:e.max[1]] }

// parquet.thrift's enum BoundaryOrder.
const (
	unordered  = 0
	ascending  = 1
	descending = 2
)

// boundaryOrder says how the bounds of successive pages go; pages of nulls do
// not count.
func (c *column) boundaryOrder() int32 {
	rising, falling := true, true
	var prev *pageEntry
	for i := range c.pages {
		e := &c.pages[i]
		if e.allNull {
			continue
		}
		if prev != nil {
			low := c.order.compare(c.minOf(prev), c.minOf(e))
			high := c.order.compare(c.maxOf(prev), c.maxOf(e))
			rising = rising && low <= 0 && high <= 0
			falling = falling && low >= 0 && high >= 0
		}
		prev = e
	}
	switch {
	case rising:
		return ascending
	case falling:
		return descending
	}
	return unordered
}

// columnIndex writes the chunk's ColumnIndex, or nothing if a page has values
// but no bounds: then the format allows none.
func (c *column) columnIndex(t *thriftWriter) bool {
	for i := range c.pages {
		if e := &c.pages[i]; !e.allNull && !e.has {
			return false
		}
	}
	t.reset()
	n := len(c.pages)
	t.list(1, n, thriftTrue)
	for i := range c.pages {
		t.boolElement(c.pages[i].allNull)
	}
	t.list(2, n, thriftBinary)
	for i := range c.pages {
		t.binaryElement(c.minOf(&c.pages[i]))
	}
	t.list(3, n, thriftBinary)
	for i := range c.pages {
		t.binaryElement(c.maxOf(&c.pages[i]))
	}
	t.i32(4, c.boundaryOrder())
	t.list(5, n, thriftI64)
	for i := range c.pages {
		t.varint(c.pages[i].nulls)
	}
	if c.maxRep > 0 {
		t.i64List(6, c.levelsSeen.repPages)
	}
	if c.maxDef > 1 || c.maxRep > 0 {
		t.i64List(7, c.levelsSeen.defPages)
	}
	if c.order.isFloat() {
		t.list(8, n, thriftI64)
		for i := range c.pages {
			t.varint(c.pages[i].nans)
		}
	}
	t.end()
	return true
}

// pageLocation is one page of an OffsetIndex. Its offset counts from the row
// group's first byte: the index holds places in the file, so it is written with
// the footer, when the group has its place.
type pageLocation struct {
	offset    int64
	size      int32
	firstRow  int64
	unencoded int64
}

// writeOffsetIndex appends an OffsetIndex for a row group that begins at base.
func writeOffsetIndex(t *thriftWriter, pages []pageLocation, base int64, bytes bool) {
	t.list(1, len(pages), thriftStruct)
	for _, p := range pages {
		t.element()
		t.i64(1, base+p.offset)
		t.i32(2, p.size)
		t.i64(3, p.firstRow)
		t.end()
	}
	if bytes {
		t.list(2, len(pages), thriftI64)
		for _, p := range pages {
			t.varint(p.unencoded)
		}
	}
	t.end()
}

// statistics sums up the pages.
func (c *column) statistics() chunkStatistics {
	s := chunkStatistics{nulls: c.nulls, float: c.order.isFloat()}
	if only := c.pageCounts[dictionaryIndex]; int(only) == c.pagesWithValues() && !s.float {
		s.distinct = int64(c.dictionaryLen())
	}
	for i := range c.pages {
		e := &c.pages[i]
		s.nans += e.nans
		if e.allNull {
			continue
		}
		if !e.has {
			if s.float { // a page of NaN alone takes nothing from the others
				continue
			}
			s.bounds = bounds{}
			return s
		}
		lowest, highest := c.minOf(e), c.maxOf(e)
		if d := cmpOr(s.has, c.order, lowest, s.min); d < 0 {
			s.min, s.minExact = lowest, e.exactMin
		} else if d == 0 {
			s.minExact = s.minExact || e.exactMin
		}
		if d := cmpOr(s.has, c.order, s.max, highest); d < 0 {
			s.max, s.maxExact = highest, e.exactMax
		} else if d == 0 {
			s.maxExact = s.maxExact || e.exactMax
		}
		s.has = true
	}
	// They point into memory that the next row group uses.
	s.min, s.max = append([]byte(nil), s.min...), append([]byte(nil), s.max...)
	return s
}

// cmpOr compares two bounds; without an earlier one the new one wins.
func cmpOr(has bool, o order, a, b []byte) int {
	if !has {
		return -1
	}
	return o.compare(a, b)
}

func (c *column) pagesWithValues() int {
	n := 0
	for i := range c.pages {
		if !c.pages[i].allNull {
			n++
		}
	}
	return n
}
