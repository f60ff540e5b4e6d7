package journal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// bbolt trusts its file: a page number out of range, a page that is its own
// ancestor or a length that points outside of its page makes it panic, read
// foreign memory or recurse until the stack is gone, and none of the last two can
// be recovered from. So the shape of the file is checked here, with plain
// bounded reads, before bbolt maps it. What the pages hold is checked afterwards
// by the hash chain.
//
// The layout is bbolt's (internal/common/page.go and meta.go), stable since 2013,
// in the byte order of the machine, which is little-endian on all supported ones.

const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageBranch   = 0x01
	pageLeaf     = 0x02
	pageFreelist = 0x10
	leafBucket   = 0x01

	pageHeader  = 16
	pageElement = 16
	metaSize    = 64
	maxDepth    = 64
	maxKeySize  = 32768
	minPageSize = 1 << 10
	maxPageSize = 16 << 20
)

// metaPage is one of bbolt's two meta pages, each the root of one transaction.
type metaPage struct {
	pageSize int64
	root     uint64
	freelist uint64
	pages    uint64 // number of pages in use, free ones included
	txid     uint64
}

// readMeta gives the meta page at an offset, if there is a whole one.
func readMeta(file io.ReaderAt, offset int64) (metaPage, bool) {
	var buf [pageHeader + metaSize]byte
	if _, err := file.ReadAt(buf[:], offset); err != nil {
		return metaPage{}, false
	}
	body := buf[pageHeader:]
	le := binary.LittleEndian
	sum := fnv.New64a()
	sum.Write(body[:metaSize-8])
	if le.Uint32(body) != boltMagic || le.Uint32(body[4:]) != boltVersion || le.Uint64(body[56:]) != sum.Sum64() {
		return metaPage{}, false
	}
	m := metaPage{
		pageSize: int64(le.Uint32(body[8:])),
		root:     le.Uint64(body[16:]),
		freelist: le.Uint64(body[32:]),
		pages:    le.Uint64(body[40:]),
		txid:     le.Uint64(body[48:]),
	}
	ok := m.pageSize >= minPageSize && m.pageSize <= maxPageSize && m.pageSize&(m.pageSize-1) == 0
	return m, ok
}

// pageCheck walks the pages of a bbolt file.
type pageCheck struct {
	file io.ReaderAt
	metaPage
	seen []uint64 // bit per page: in use, or free
}

// checkPages checks the shape of a bbolt file of the given size. stale is set when
// one meta page is damaged and bbolt will go on from the other: either power was
// lost during the very last commit, which then was not acknowledged, or the newest
// commit is gone.
func checkPages(file io.ReaderAt, size int64) (stale bool, err error) {
	if size == 0 {
		return false, fmt.Errorf("the file is empty")
	}
	first, firstWhole := readMeta(file, 0)
	second, secondWhole := metaPage{}, false
	if firstWhole {
		second, secondWhole = readMeta(file, first.pageSize)
	} else {
		for pageSize := int64(minPageSize); pageSize <= maxPageSize && !secondWhole; pageSize *= 2 {
			second, secondWhole = readMeta(file, pageSize)
			secondWhole = secondWhole && second.pageSize == pageSize
		}
	}
	c := &pageCheck{file: file}
	switch {
	case !firstWhole && !secondWhole:
		return false, fmt.Errorf("neither of its two meta pages is whole")
	case !secondWhole || firstWhole && first.txid > second.txid:
		c.metaPage = first
	default:
		c.metaPage = second
	}
	stale = !firstWhole || !secondWhole

	if c.pages < 4 || c.pages > uint64(size/c.pageSize) {
		return stale, fmt.Errorf("it is cut short: %d pages of %d bytes are in use, the file has %d bytes", c.pages, c.pageSize, size)
	}
	c.seen = make([]uint64, c.pages/64+1)
	if err := c.tree(c.root, nil, nil, 0); err != nil {
		return stale, err
	}
	return stale, c.free()
}

// span is a page with the overflow pages behind it. Its head is in memory.
type span struct {
	id     uint64
	flags  uint16
	count  int
	size   int64
	head   []byte
	file   io.ReaderAt
	offset int64
}

// open reads a page that is to be in use, and marks it.
func (c *pageCheck) open(id uint64) (*span, error) {
	if id < 2 || id >= c.pages {
		return nil, fmt.Errorf("page %d does not exist", id)
	}
	s := &span{id: id, head: make([]byte, c.pageSize), file: c.file, offset: int64(id) * c.pageSize}
	if _, err := c.file.ReadAt(s.head, s.offset); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	le := binary.LittleEndian
	s.flags, s.count = le.Uint16(s.head[8:]), int(le.Uint16(s.head[10:]))
	more := uint64(le.Uint32(s.head[12:]))
	if self := le.Uint64(s.head); self != id {
		return nil, fmt.Errorf("page %d says that it is page %d", id, self)
	}
	if more >= c.pages-id {
		return nil, fmt.Errorf("page %d reaches behind the last page", id)
	}
	for i := id; i <= id+more; i++ {
		if !c.mark(i) {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
	}
	s.size = int64(more+1) * c.pageSize
	return s, nil
}

// mark notes that a page is accounted for; false if it was already.
func (c *pageCheck) mark(id uint64) bool {
	word, bit := id/64, uint64(1)<<(id%64)
	fresh := c.seen[word]&bit == 0
	c.seen[word] |= bit
	return fresh
}

// bytes gives a part of the span, if it lies within.
func (s *span) bytes(from, length int64) ([]byte, error) {
	if from < 0 || length < 0 || from > s.size || length > s.size-from {
		return nil, fmt.Errorf("page %d points outside of itself", s.id)
	}
	if from+length <= int64(len(s.head)) {
		return s.head[from : from+length], nil
	}
	part := make([]byte, length)
	if _, err := s.file.ReadAt(part, s.offset+from); err != nil {
		return nil, fmt.Errorf("page %d: %w", s.id, err)
	}
	return part, nil
}

// element gives the fixed part of an element, its key, and where its value begins.
func (s *span) element(i int, posAt, keySizeAt int) (fixed, key []byte, value int64, err error) {
	at := int64(pageHeader + i*pageElement)
	if fixed, err = s.bytes(at, pageElement); err != nil {
		return nil, nil, 0, err
	}
	pos := int64(binary.LittleEndian.Uint32(fixed[posAt:]))
	keySize := int64(binary.LittleEndian.Uint32(fixed[keySizeAt:]))
	if keySize > maxKeySize || pos < int64(s.count-i)*pageElement {
		return nil, nil, 0, fmt.Errorf("page %d: element %d has no place", s.id, i)
	}
	if key, err = s.bytes(at+pos, keySize); err != nil {
		return nil, nil, 0, err
	}
	return fixed, key, at + pos + keySize, nil
}

// tree checks a page and all below it. All keys have to lie in [low, high); nil is
// no bound.
func (c *pageCheck) tree(id uint64, low, high []byte, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d: the tree is deeper than %d", id, maxDepth)
	}
	s, err := c.open(id)
	if err != nil {
		return err
	}
	switch s.flags {
	case pageLeaf:
		return c.leaf(s, low, high, depth)
	case pageBranch:
		return c.branch(s, low, high, depth)
	}
	return fmt.Errorf("page %d is of the wrong type %#x", id, s.flags)
}

func (c *pageCheck) branch(s *span, low, high []byte, depth int) error {
	if s.count == 0 {
		return fmt.Errorf("page %d: a branch without children", s.id)
	}
	keys, children := make([][]byte, s.count), make([]uint64, s.count)
	for i := range keys {
		fixed, key, _, err := s.element(i, 0, 4)
		if err != nil {
			return err
		}
		keys[i], children[i] = key, binary.LittleEndian.Uint64(fixed[8:])
	}
	if err := inOrder(s.id, keys, low, high); err != nil {
		return err
	}
	for i, child := range children {
		next := high
		if i+1 < len(keys) {
			next = keys[i+1]
		}
		if err := c.tree(child, keys[i], next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (c *pageCheck) leaf(s *span, low, high []byte, depth int) error {
	keys := make([][]byte, s.count)
	for i := range keys {
		fixed, key, value, err := s.element(i, 4, 8)
		if err != nil {
			return err
		}
		keys[i] = key
		valueSize := int64(binary.LittleEndian.Uint32(fixed[12:]))
		if value > s.size || valueSize > s.size-value {
			return fmt.Errorf("page %d: element %d reaches outside of it", s.id, i)
		}
		switch flags := binary.LittleEndian.Uint32(fixed); flags {
		case 0:
		case leafBucket:
			content, err := s.bytes(value, valueSize)
			if err != nil {
				return err
			}
			if err := c.bucket(s.id, content, depth); err != nil {
				return err
			}
		default:
			return fmt.Errorf("page %d: element %d has unknown flags %#x", s.id, i, flags)
		}
	}
	return inOrder(s.id, keys, low, high)
}

// bucket checks a bucket: a root page, or a small page kept inside of the element.
func (c *pageCheck) bucket(id uint64, content []byte, depth int) error {
	if len(content) < 16 {
		return fmt.Errorf("page %d: a bucket is cut short", id)
	}
	if root := binary.LittleEndian.Uint64(content); root != 0 {
		return c.tree(root, nil, nil, depth+1)
	}
	inline := content[16:]
	if len(inline) < pageHeader {
		return fmt.Errorf("page %d: a bucket is cut short", id)
	}
	s := &span{id: id, head: inline, size: int64(len(inline)),
		flags: binary.LittleEndian.Uint16(inline[8:]), count: int(binary.LittleEndian.Uint16(inline[10:]))}
	if s.flags != pageLeaf || depth > maxDepth {
		return fmt.Errorf("page %d: a bucket's page is of the wrong type %#x", id, s.flags)
	}
	return c.leaf(s, nil, nil, depth+1)
}

func inOrder(id uint64, keys [][]byte, low, high []byte) error {
	for i, key := range keys {
		if i > 0 && bytes.Compare(keys[i-1], key) >= 0 ||
			low != nil && bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return fmt.Errorf("page %d: its keys are out of order", id)
		}
	}
	return nil
}

// free checks the list of free pages: one that is in use as well would be
// overwritten by the next commit.
func (c *pageCheck) free() error {
	s, err := c.open(c.freelist)
	if err != nil {
		return fmt.Errorf("the list of free pages: %w", err)
	}
	if s.flags != pageFreelist {
		return fmt.Errorf("page %d is of the wrong type %#x for the list of free pages", s.id, s.flags)
	}
	count, from := uint64(s.count), int64(pageHeader)
	if count == 0xFFFF { // the real count comes first
		first, err := s.bytes(from, 8)
		if err != nil {
			return err
		}
		count, from = binary.LittleEndian.Uint64(first), from+8
	}
	if count > c.pages {
		return fmt.Errorf("page %d: more free pages than pages", s.id)
	}
	ids, err := s.bytes(from, int64(count)*8)
	if err != nil {
		return err
	}
	for ; len(ids) > 0; ids = ids[8:] {
		id := binary.LittleEndian.Uint64(ids)
		if id < 2 || id >= c.pages {
			return fmt.Errorf("the list of free pages names page %d, which does not exist", id)
		}
		if !c.mark(id) {
			return fmt.Errorf("page %d is both free and in use", id)
		}
	}
	return nil
}
