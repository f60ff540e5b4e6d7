package zmtp

import (
	"io"
	"math/bits"
	"sync"
	"weak"
)

// Blocks are the memory of frames that are worth using again: taking a fresh megabyte
// for each message keeps the garbage collector and the system's pages busy for longer
// than the reading takes.

const (
	smallestBlock = 1 << minBlockBits // bytes
	largestBlock  = 1 << maxBlockBits // bytes; a larger one is not kept
	minBlockBits  = 12
	maxBlockBits  = 24
	blockSteps    = 4 // sizes from one power of two to the next
)

// block is memory of some frame or box.
type block struct {
	bytes []byte              // of the length that was asked for
	size  int                 // index in spare, -1: not to be kept
	weak  weak.Pointer[block] // to itself
}

// spare are the blocks in nobody's use, by size. Nothing here keeps the garbage
// collector from taking them, so they count as garbage, not as what is in use.
var spare [(maxBlockBits-minBlockBits)*blockSteps + 1]struct {
	sync.Mutex
	blocks []weak.Pointer[block] // as many as were in use at a time, at most
}

// take gives a block of n bytes. What is in them is arbitrary.
func take(n int) *block {
	if b := takeSpare(n); b != nil {
		return b
	}
	if n > largestBlock {
		return &block{bytes: make([]byte, n), size: -1}
	}
	size, capacity := blockSize(n)
	b := &block{bytes: make([]byte, n, capacity), size: size}
	b.weak = weak.Make(b)
	return b
}

// takeSpare gives a block of n bytes that was in use before, nil when there is none.
func takeSpare(n int) *block {
	if n > largestBlock {
		return nil
	}
	size, _ := blockSize(n)
	s := &spare[size]
	s.Lock()
	defer s.Unlock()
	for last := len(s.blocks) - 1; last >= 0; last-- {
		b := s.blocks[last].Value()
		s.blocks = s.blocks[:last]
		if b != nil {
			b.bytes = b.bytes[:n]
			return b
		}
	}
	return nil
}

func (b *block) free() {
	if b.size < 0 {
		return
	}
	s := &spare[b.size]
	s.Lock()
	defer s.Unlock()
	s.blocks = append(s.blocks, b.weak)
}

// blockSize is the least size, and the number of bytes in it, that has room for n
// bytes. It has a quarter more than that at most, beyond smallestBlock.
func blockSize(n int) (size, capacity int) {
	if n <= smallestBlock {
		return 0, smallestBlock
	}
	power := bits.Len(uint(n-1)) - 1 // n is above 1<<power, and not above twice that
	step := (1 << power) / blockSteps
	steps := (n - 1<<power + step - 1) / step
	return (power-minBlockBits)*blockSteps + steps, 1<<power + steps*step
}

const (
	trusted = 2 << 20 // bytes; so much memory is taken on a peer's word
	growth  = 4       // times what has come is taken next
)

// readBlock reads n bytes. However many that are said to be, no more new memory is
// taken than trusted, or growth times what has come.
func readBlock(r io.Reader, n int) (*block, error) {
	b := takeSpare(n)
	if b == nil {
		b = take(min(n, trusted))
	}
	for have := 0; ; {
		if _, err := io.ReadFull(r, b.bytes[have:]); err != nil {
			b.free()
			return nil, withinFrame(err)
		}
		if have = len(b.bytes); have == n {
			return b, nil
		}
		larger := take(min(n, growth*have))
		copy(larger.bytes, b.bytes)
		b.free()
		b = larger
	}
}
