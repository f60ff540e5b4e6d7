package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
)

// salvage is what can be found in a damaged file without believing its pages to hold
// together: every page that looks like a leaf is taken apart by itself. Nothing found
// is trusted for its place: a record counts when it continues the chain, a blob when
// it has its digest. Pages that bbolt has freed hold older copies of the same
// records, which is as good.
type salvage struct {
	file io.ReaderAt
	size int64
	ids  []string
	// records by number: the same record may be on several pages, and damaged on some.
	records map[uint64][]place
	blobs   map[Digest]place
	heads   map[uint64][]Digest // what copies of the head say of a record
	last    uint64              // the highest number found
}

// place is where bytes lie in the file.
type place struct {
	offset int64
	length int64
}

// maxRecord is the most bytes that a stored record can have.
const maxRecord = MaxEvent + 1024

func scan(file io.ReaderAt, size int64) (*salvage, error) {
	s := &salvage{file: file, size: size, records: map[uint64][]place{}, blobs: map[Digest]place{}, heads: map[uint64][]Digest{}}
	pageSize := pageSizeOf(file)
	for offset := int64(0); offset+pageHeader <= size; offset += pageSize {
		if err := s.page(offset, offset, 0); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// pageSizeOf is what either meta page says, else what is usual on this machine.
func pageSizeOf(file io.ReaderAt) int64 {
	if first, whole := readMeta(file, 0); whole {
		return first.pageSize
	}
	for pageSize := int64(minPageSize); pageSize <= maxPageSize; pageSize *= 2 {
		if second, whole := readMeta(file, pageSize); whole && second.pageSize == pageSize {
			return pageSize
		}
	}
	return int64(os.Getpagesize())
}

// page takes a leaf apart. An unreadable part of the disk is damage like any other.
func (s *salvage) page(offset, at int64, depth int) error {
	var header [pageHeader]byte
	if _, err := s.file.ReadAt(header[:], at); err != nil {
		return nil
	}
	le := binary.LittleEndian
	if le.Uint16(header[8:]) != pageLeaf {
		return nil
	}
	elements := make([]byte, int(le.Uint16(header[10:]))*pageElement)
	n, _ := s.file.ReadAt(elements, at+pageHeader)
	for i := 0; (i+1)*pageElement <= n; i++ {
		e := elements[i*pageElement:]
		flags, pos := le.Uint32(e), int64(le.Uint32(e[4:]))
		keySize, valueSize := int64(le.Uint32(e[8:])), int64(le.Uint32(e[12:]))
		keyAt := at + pageHeader + int64(i*pageElement) + pos
		if keySize > 64 || keyAt+keySize+valueSize > s.size {
			continue
		}
		key := make([]byte, keySize)
		if _, err := s.file.ReadAt(key, keyAt); err != nil {
			continue
		}
		value := place{keyAt + keySize, valueSize}
		switch {
		case flags == leafBucket && depth == 0 && valueSize >= 16+pageHeader: // a small bucket lies within
			if err := s.page(offset, value.offset+16, depth+1); err != nil {
				return err
			}
		case keySize == 8 && valueSize > 16 && valueSize <= maxRecord:
			s.note(binary.BigEndian.Uint64(key), value)
		case keySize == 64 && valueSize <= MaxBlob:
			if _, known := s.blobs[Digest(key)]; !known {
				if content := s.bytes(value); content != nil && DigestOf(content) == Digest(key) {
					s.blobs[Digest(key)] = value
				}
			}
		case bytes.Equal(key, headKey) && valueSize < 256:
			var head link
			if decodeStrictly(s.bytes(value), &head) == nil {
				s.heads[head.Seq] = append(s.heads[head.Seq], head.Digest)
			}
		case bytes.Equal(key, idKey) && valueSize == 32:
			if id := s.bytes(value); id != nil {
				s.ids = append(s.ids, string(id))
			}
		}
	}
	return nil
}

// note keeps what may be a record or a gap.
func (s *salvage) note(seq uint64, at place) {
	raw := s.bytes(at)
	if raw == nil || seq == 0 {
		return
	}
	if isGap(raw) {
		var g gap
		if decodeStrictly(raw, &g) != nil || g.Dropped.To != seq {
			return
		}
	} else if record, err := parseRecord(raw); err != nil || record.seq != seq {
		return
	}
	for _, other := range s.records[seq] {
		if other == at || bytes.Equal(s.bytes(other), raw) {
			return
		}
	}
	s.records[seq] = append(s.records[seq], at)
	s.last = max(s.last, seq)
}

func (s *salvage) bytes(at place) []byte {
	content := make([]byte, at.length)
	if _, err := s.file.ReadAt(content, at.offset); err != nil {
		return nil
	}
	return content
}

// follow calls fn for each record and gap of the chain from its beginning, as far as
// it goes, and gives the number at which it ends.
func (s *salvage) follow(id string, fn func(seq uint64, raw []byte) error) (uint64, error) {
	gaps := s.gaps()
	chain := chainFrom(link{Digest: DigestOf([]byte(id))})
	chain.whole = true
	for {
		seq, raw, next := s.continuing(chain, gaps)
		if raw == nil {
			return chain.seq, nil
		}
		if err := fn(seq, raw); err != nil {
			if errors.Is(err, errFarEnough) {
				return chain.seq, nil
			}
			return chain.seq, err
		}
		chain = next
	}
}

// continuing finds what continues the chain. Of several records that do (a write that
// failed may have left one) it takes the one that another record continues.
func (s *salvage) continuing(from *chain, gaps []uint64) (seq uint64, raw []byte, next *chain) {
	numbers := []uint64{from.seq + 1}
	if i, _ := slices.BinarySearch(gaps, from.seq+2); i < len(gaps) {
		numbers = append(numbers, gaps[i])
	}
	for _, number := range numbers {
		for _, at := range s.records[number] {
			content := s.bytes(at)
			after := *from
			var err error
			if isGap(content) {
				err = after.skip(number, content)
			} else if _, err = after.next(number, content); number != from.seq+1 {
				continue
			}
			if content == nil || err != nil {
				continue
			}
			// The last record has none behind it that names its digest: the head does.
			continued := s.isContinued(&after)
			heads := s.heads[after.seq]
			believed := continued || len(heads) == 0 || slices.Contains(heads, Digest(after.digest[:]))
			if believed && (raw == nil || continued) {
				seq, raw, next = number, content, &after
			}
		}
	}
	return seq, raw, next
}

// isContinued tells whether a record names the one that the chain has come to.
func (s *salvage) isContinued(from *chain) bool {
	for _, at := range s.records[from.seq+1] {
		after := *from
		if content := s.bytes(at); content != nil && !isGap(content) {
			if _, err := after.next(from.seq+1, content); err == nil {
				return true
			}
		}
	}
	return false
}

// touched lists the jobs of the records found behind a number, and tells whether
// some record there was not found at all.
func (s *salvage) touched(behind uint64) (jobs []uint64, blank bool) {
	seen := map[uint64]bool{}
	found := uint64(0)
	for seq, places := range s.records { // numbers may be anything, in what is damaged
		if seq <= behind {
			continue
		}
		found++
		for _, at := range places {
			if record, err := parseRecord(s.bytes(at)); err == nil && record.job != 0 && !seen[record.job] {
				seen[record.job] = true
				jobs = append(jobs, record.job)
			}
		}
	}
	blank = s.last > behind && found < s.last-behind
	return jobs, blank
}

// identity is the id that the chain begins with.
func (s *salvage) identity() (string, error) {
	for _, id := range s.ids {
		if _, raw, _ := s.continuing(chainFrom(link{Digest: DigestOf([]byte(id))}), s.gaps()); raw != nil || len(s.records) == 0 {
			return id, nil
		}
	}
	return "", errors.New("it holds no record that could be believed")
}

// gaps lists the gaps by the number that they stand under.
func (s *salvage) gaps() []uint64 {
	var gaps []uint64
	for seq, places := range s.records {
		if isGap(s.bytes(places[0])) {
			gaps = append(gaps, seq)
		}
	}
	slices.Sort(gaps)
	return gaps
}
