package rowgroup

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
)

// Options say how row groups are encoded. The zero value is a good choice.
type Options struct {
	Compression Compression
	Level       int // of the codec; zero is its default

	// PageRows and PageBytes are about how much one data page holds, before
	// encoding; whichever is met first ends it. Zero: 65,536 rows (fewer in wide
	// tables) and 1 MiB.
	PageRows  int
	PageBytes int

	// Compat keeps to the encodings PLAIN and RLE_DICTIONARY, for readers that
	// know no others.
	Compat bool

	// BloomColumns get a Bloom filter: column names, nested ones with dots as in
	// the Parquet schema (tags.list.element).
	BloomColumns []string

	// SortedBy names columns that may be sorted, the most telling first. Of each
	// row group, the first of them whose rows really are in order is recorded as
	// its sorting column. Columns with nulls do not qualify.
	SortedBy []string

	// Workers is how many goroutines encode columns during a call; zero: as many
	// as there are processors. None outlives the call.
	Workers int
}

const (
	defaultPageRows  = 64 << 10
	defaultPageBytes = 1 << 20
	leastPageRows    = 4 << 10
	// pendingBudget is about how much all columns together may keep waiting for
	// a full page.
	pendingBudget = 16 << 20
	// dictionaryBudget is the same for dictionaries.
	dictionaryBudget     = 64 << 20
	dictionaryLargest    = 4 << 20
	dictionarySmallest   = 64 << 10
	dictionaryMostValues = 1 << 17
	dictionaryFewValues  = 1 << 11
	dictionaryValueCost  = 64 // bytes, with its part of the hash table
	windowLargest        = 1 << 16
	windowBudget         = 4 << 20 // values, of all columns together
	// parallelWork is how many values a batch must have to be worth the start of
	// goroutines.
	parallelWork = 1 << 15
)

// Encoder turns record batches into row groups. Its methods are not safe for
// concurrent use. After an error it is of no more use, except that Discard makes
// it fit again.
type Encoder struct {
	schema  *arrow.Schema
	tree    *schemaTree
	columns []*column
	order   []int // columns, the slowest first
	spent   []time.Duration
	sortBy  []int
	pool    blockPool
	codec   Compression
	level   int
	spaces  []*workspace // one for each worker, made at its first use
	rows    int64
	size    int64
	last    *arrow.Schema // of the batch before: it need not be compared again
	err     error
}

// New makes an encoder of batches of one schema. It refuses types that have no
// Parquet form with an *UnsupportedTypeError, and Bloom filters of columns that
// cannot have one with a *BloomError.
func New(schema *arrow.Schema, opts Options) (*Encoder, error) {
	tree, err := newSchemaTree(schema)
	if err != nil {
		return nil, err
	}
	if int(opts.Compression) >= len(compressionNames) {
		return nil, fmt.Errorf("unknown %s", opts.Compression)
	}
	if low, high := opts.Compression.Levels(); opts.Level != 0 && (opts.Level < low || opts.Level > high) {
		return nil, fmt.Errorf("%s has no level %d", opts.Compression, opts.Level)
	}
	if opts.PageRows < 0 || opts.PageBytes < 0 || opts.Workers < 0 {
		return nil, fmt.Errorf("page rows, page bytes and workers cannot be negative")
	}
	leaves := len(tree.leaves)
	lim := limits{pageRows: opts.PageRows, pageBytes: opts.PageBytes}
	if lim.pageRows == 0 {
		lim.pageRows = max(leastPageRows, min(defaultPageRows, pendingBudget/(8*leaves)))
	}
	if lim.pageBytes == 0 {
		lim.pageBytes = max(leastPageRows, min(defaultPageBytes, pendingBudget/leaves))
	}
	lim.dictionaryValues = max(dictionaryFewValues, min(dictionaryMostValues, dictionaryBudget/(dictionaryValueCost*leaves)))
	lim.dictionaryWindow = min(windowLargest, windowBudget/leaves)
	lim.dictionaryBytes = max(dictionarySmallest, min(dictionaryLargest, dictionaryBudget/leaves))
	workers := opts.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	e := &Encoder{
		schema: schema, tree: tree, codec: opts.Compression, level: opts.Level,
		spent: make([]time.Duration, leaves), spaces: make([]*workspace, min(workers, leaves)),
	}
	for i, lf := range tree.leaves {
		c := &column{leaf: lf, limits: lim, codec: opts.Compression, compat: opts.Compat || lf.plain}
		c.store.pool = &e.pool
		c.dict32.most, c.dict64.most = uint64(lim.dictionaryWindow), uint64(lim.dictionaryWindow)
		e.columns = append(e.columns, c)
		e.order = append(e.order, i)
	}
	for _, name := range opts.BloomColumns {
		i := e.find(name)
		if i < 0 {
			return nil, &BloomError{Column: name, Reason: "there is no such column; nested ones are named with dots, as in tags.list.element"}
		}
		if c := e.columns[i]; c.phys == boolean || c.allNull {
			return nil, &BloomError{Column: name, Reason: "its type has too few values for one"}
		}
		e.columns[i].bloomWanted = true
	}
	for _, name := range opts.SortedBy {
		i := e.find(name)
		if i < 0 {
			return nil, fmt.Errorf("sorted by: there is no column %q", name)
		}
		if e.columns[i].maxRep > 0 {
			return nil, fmt.Errorf("sorted by: column %q has several values per row", name)
		}
		e.columns[i].orderWatched = true
		e.sortBy = append(e.sortBy, i)
	}
	for _, c := range e.columns {
		c.begin()
	}
	return e, nil
}

// space gives the memory of the kth worker.
func (e *Encoder) space(k int) *workspace {
	if e.spaces[k] == nil {
		e.spaces[k] = &workspace{codec: compressor{kind: e.codec, level: e.level}}
	}
	return e.spaces[k]
}

func (e *Encoder) find(name string) int {
	return slices.IndexFunc(e.columns, func(c *column) bool { return c.name == name })
}

// Rows is the number of rows in the present row group.
func (e *Encoder) Rows() int64 { return e.rows }

// Size is about how many bytes the present row group has: encoded pages,
// dictionaries, and the rows that wait for a full page.
func (e *Encoder) Size() int64 { return e.size }

// Write encodes a batch. It keeps nothing of the batch. A *BatchError, a
// *NullError or a *ValueError says what is wrong with it.
func (e *Encoder) Write(batch arrow.RecordBatch) error {
	if e.err != nil {
		return e.err
	}
	if err := e.check(batch); err != nil {
		return err
	}
	if batch.NumRows() == 0 {
		return nil
	}
	parallel := batch.NumRows()*int64(len(e.columns)) >= parallelWork
	e.err = e.each(parallel, func(w *workspace, i int) error {
		c := e.columns[i]
		return c.write(w, batch.Column(c.field).Data())
	})
	if e.err != nil {
		return e.err
	}
	e.rows += batch.NumRows()
	e.size = 0
	for _, c := range e.columns {
		e.size += c.waiting()
	}
	return nil
}

// check compares a batch with the encoder's schema. Nothing has been taken from
// the batch when it gives an error.
func (e *Encoder) check(batch arrow.RecordBatch) error {
	s := batch.Schema()
	if s != e.schema && s != e.last {
		if s.NumFields() != e.schema.NumFields() {
			return &BatchError{Reason: fmt.Sprintf("it has %d columns, and the schema has %d", s.NumFields(), e.schema.NumFields())}
		}
		for i, f := range e.schema.Fields() {
			g := s.Field(i)
			if g.Name != f.Name {
				return &BatchError{Column: f.Name, Reason: fmt.Sprintf("the batch has %q in its place", g.Name)}
			}
			if !arrow.TypeEqual(f.Type, g.Type) {
				return &BatchError{Column: f.Name, Reason: fmt.Sprintf("the batch has %s, and the schema %s", g.Type, f.Type)}
			}
		}
		e.last = s
	}
	for i, col := range batch.Columns() {
		if int64(col.Len()) != batch.NumRows() {
			return &BatchError{Column: e.schema.Field(i).Name, Reason: fmt.Sprintf("it has %d rows, and the batch %d", col.Len(), batch.NumRows())}
		}
	}
	return nil
}

// each calls do for every column, from several goroutines if asked to, and
// gives the first error.
func (e *Encoder) each(parallel bool, do func(w *workspace, i int) error) error {
	guarded := func(w *workspace, i int) (err error) {
		start := time.Now()
		defer func() {
			e.spent[i] += time.Since(start)
			// Arrow memory may contradict itself in more ways than are checked.
			// Reading outside of a buffer panics, and is an error of the batch.
			if r := recover(); r != nil {
				err = &BatchError{Column: e.columns[i].name, Reason: fmt.Sprint(r)}
			}
		}()
		return do(w, i)
	}
	workers := len(e.spaces)
	if !parallel || workers == 1 {
		for i := range e.columns {
			if err := guarded(e.space(0), i); err != nil {
				return err
			}
		}
		return nil
	}
	// The slowest columns first, so that no worker is left with one at the end.
	slices.SortStableFunc(e.order, func(a, b int) int { return int(e.spent[b] - e.spent[a]) })
	var next atomic.Int64
	var failed atomic.Bool
	var wg sync.WaitGroup
	errs := make([]error, workers)
	work := func(k int) {
		space := e.space(k)
		for !failed.Load() {
			i := int(next.Add(1)) - 1
			if i >= len(e.order) {
				return
			}
			if err := guarded(space, e.order[i]); err != nil {
				errs[k] = err
				failed.Store(true)
			}
		}
	}
	for k := 1; k < workers; k++ {
		wg.Go(func() { work(k) })
	}
	work(0)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Discard throws the present row group away.
func (e *Encoder) Discard() {
	for _, c := range e.columns {
		c.begin()
	}
	e.rows, e.size, e.err = 0, 0, nil
}

// Finish ends the row group: it writes its bytes to w and describes them. The
// encoder is then ready for the next group, with the memory of this one. Without
// rows nothing is written, and the description is the zero value.
func (e *Encoder) Finish(w io.Writer) (RowGroup, error) {
	if e.err != nil {
		return RowGroup{}, e.err
	}
	if e.rows == 0 {
		return RowGroup{}, nil
	}
	pending := 0
	for _, c := range e.columns {
		pending += c.pending.values.n
	}
	e.err = e.each(pending >= parallelWork, func(w *workspace, i int) error {
		return e.columns[i].encodePending(w)
	})
	if e.err != nil {
		return RowGroup{}, e.err
	}
	g, err := e.emit(w)
	if err != nil {
		e.err = err
		return RowGroup{}, err
	}
	e.Discard()
	return g, nil
}

// emit writes columns, Bloom filters and column indexes.
func (e *Encoder) emit(w io.Writer) (RowGroup, error) {
	g := RowGroup{Rows: e.rows, chunks: make([]chunk, len(e.columns))}
	out := &counted{w: w}
	space := e.space(0)
	for i, c := range e.columns {
		if err := c.finish(space, out, &g.chunks[i]); err != nil {
			return RowGroup{}, fmt.Errorf("write column %s: %w", c.name, err)
		}
	}
	t := &space.thrift
	for i, c := range e.columns {
		if !c.bloomWanted {
			continue
		}
		c.addDictionary()
		c.bloom.appendFilter(t)
		g.chunks[i].bloom = place{out.n, int32(len(t.buf))}
		if err := out.write(t.buf); err != nil {
			return RowGroup{}, fmt.Errorf("write the bloom filter of column %s: %w", c.name, err)
		}
	}
	for i, c := range e.columns {
		if !c.columnIndex(t) {
			continue
		}
		g.chunks[i].columnIndex = place{out.n, int32(len(t.buf))}
		if err := out.write(t.buf); err != nil {
			return RowGroup{}, fmt.Errorf("write the column index of column %s: %w", c.name, err)
		}
	}
	for _, i := range e.sortBy {
		if down, ok := e.columns[i].sorted.order(); ok {
			g.sorting = []SortingColumn{{Column: int32(i), Descending: down}}
			break
		}
	}
	g.Bytes = out.n
	return g, nil
}

// counted counts what it writes.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) write(p []byte) error {
	n, err := c.w.Write(p)
	c.n += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return err
}

// finish writes the column's chunk and describes it.
func (c *column) finish(w *workspace, out *counted, ch *chunk) error {
	start := out.n
	*ch = chunk{
		phys:       c.phys,
		slots:      c.slots,
		raw:        c.raw,
		dictionary: -1,
		statistics: c.statistics(),
		sizes:      c.sizes(),
		encodings:  []encoding{rle},
		pages:      make([]pageLocation, len(c.pages)),
	}
	if c.codecUse != withoutCodec {
		ch.codec = c.codec.codecNumber()
	}
	if n := c.dictionaryLen(); n > 0 {
		body, raw, size, err := w.body([][]byte{c.dictionaryPlain()}, c.codecUse)
		if err != nil {
			return err
		}
		header := w.header(dictionaryPage, raw, size, n, plain, body)
		if err := out.write(header); err != nil {
			return err
		}
		if err := out.write(body[0]); err != nil {
			return err
		}
		ch.dictionary = start
		ch.raw += int64(len(header) + raw)
		ch.encodings = append(ch.encodings, plain)
		ch.pageCounts = append(ch.pageCounts, pageCount{dictionaryPage, plain, 1})
	}
	ch.dataPage = out.n
	for _, b := range c.store.blocks {
		if err := out.write(b); err != nil {
			return err
		}
	}
	ch.size = out.n - start
	for enc, n := range c.pageCounts {
		if n == 0 {
			continue
		}
		if !slices.Contains(ch.encodings, encoding(enc)) {
			ch.encodings = append(ch.encodings, encoding(enc))
		}
		ch.pageCounts = append(ch.pageCounts, pageCount{dataPage, encoding(enc), n})
	}
	for i := range c.pages {
		p := &c.pages[i]
		ch.pages[i] = pageLocation{offset: ch.dataPage + p.offset, size: p.size, firstRow: p.firstRow, unencoded: p.unencoded}
	}
	return nil
}
