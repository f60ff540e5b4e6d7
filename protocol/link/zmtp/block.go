package zmtp

import (
	"io"
	"math/bits"
	"sync"
)

// Blocks are the memory of frames that are worth using again: taking a fresh megabyte
// for each message keeps the garbage collector and the system's pages busy for longer
// than the reading takes. What nobody takes for a while is the collector's.

const (
	smallestBlock = 1 << minBlockBits // bytes
	largestBlock  = 1 << maxBlockBits // bytes; a larger one is not kept
	minBlockBits  = 12
	maxBlockBits  = 24
	blockSteps    = 4 // sizes from one power of two to the next
)

// block is memory of some frame or box.
type block struct {
	bytes []byte // of the length that was asked for
	size  int    // index in spare, -1: not to be kept
}

// spare are the blocks in nobody's use, by size.
var spare [(maxBlockBits-minBlockBits)*blockSteps + 1]sync.Pool

// take gives a block of n bytes. What is in them is arbitrary.
func take(n int) *block {
	if n > largestBlock {
		return &block{make([]byte, n), -1}
	}
	size, capacity := blockSize(n)
	if b, ok := spare[size].Get().(*block); ok {
		b.bytes = b.bytes[:n]
		return b
	}
	return &block{make([]byte, n, capacity), size}
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

func (b *block) free() {
	if b.size >= 0 {
		spare[b.size].Put(b)
	}
}

const (
	trusted = 2 << 20 // bytes; so much memory is taken on a peer's word
	growth  = 4       // times what has come is taken next
)

// readBlock reads n bytes. However many that are said to be, no more memory is taken
// than trusted, or growth times what has come.
func readBlock(r io.Reader, n int) (*block, error) {
	b := take(min(n, trusted))
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
