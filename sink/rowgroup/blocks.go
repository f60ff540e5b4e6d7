package rowgroup

import "sync"

// Encoded pages wait in blocks until their row group ends. Blocks are shared by
// all columns of an encoder and used again for the next group.

const (
	smallestBlock = 1 << 10
	largestBlock  = 1 << 20
	blockClasses  = 11 // 1 KiB << 10 is 1 MiB
)

// blockPool keeps free blocks by size. It may be used from several goroutines.
type blockPool struct {
	mu   sync.Mutex
	free [blockClasses][][]byte
}

func blockClass(size int) int {
	k := 0
	for s := smallestBlock; s < size && k < blockClasses-1; s <<= 1 {
		k++
	}
	return k
}

// take gives an empty block of size bytes, a power of two in the range.
func (p *blockPool) take(size int) []byte {
	k := blockClass(size)
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free[k]); n > 0 {
		b := p.free[k][n-1]
		p.free[k] = p.free[k][:n-1]
		return b[:0]
	}
	return make([]byte, 0, smallestBlock<<k)
}

func (p *blockPool) give(blocks [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range blocks {
		k := blockClass(cap(b))
		p.free[k] = append(p.free[k], b)
	}
}

// pageStore is the bytes of one column's pages so far. A column's first block
// is small, and each next one twice as large, so that a table of many narrow
// columns stays small too.
type pageStore struct {
	pool   *blockPool
	blocks [][]byte
	size   int64
}

func (s *pageStore) write(p []byte) {
	s.size += int64(len(p))
	for len(p) > 0 {
		k := len(s.blocks) - 1
		if k < 0 || len(s.blocks[k]) == cap(s.blocks[k]) {
			size := smallestBlock
			if k >= 0 {
				size = min(2*cap(s.blocks[k]), largestBlock)
			}
			s.blocks = append(s.blocks, s.pool.take(size))
			k++
		}
		b := s.blocks[k]
		n := copy(b[len(b):cap(b)], p)
		s.blocks[k] = b[:len(b)+n]
		p = p[n:]
	}
}

func (s *pageStore) reset() {
	s.pool.give(s.blocks)
	clear(s.blocks)
	s.blocks, s.size = s.blocks[:0], 0
}
