package rowgroup

import "github.com/casparian-flow/casparian-worker/sink/yield"

// workspace is the memory that encoding one page needs. Each worker has one;
// nothing in it outlives the page.
type workspace struct {
	work    yield.Counter
	levels  levels
	content pageContent
	oneRow  bool // a single row is loaded: it cannot be made smaller

	// Arrow values, gathered and converted.
	idx8          []uint8
	idx16         []uint16
	idx32         []uint32
	idx64         []uint64
	gatheredInt8  []int8
	gatheredInt16 []int16
	gathered32    []int32
	gathered64    []int64
	gathered128   [][2]uint64
	gathered256   [][4]uint64
	converted32   []int32
	converted64   []int64
	converted     []byte
	wide          []byte
	views         [][4]uint32
	viewData      []byte
	via           []uint32
	boolBits      bitWriter
	bound         [2][8]byte

	// Encoded values.
	indexes    []uint32
	encoded    []byte
	head       []byte
	trial      []byte
	trialOut   []byte
	segments   [][]byte
	one        [1][]byte
	joined     []byte
	compressed []byte
	deltas     deltaScratch
	thrift     thriftWriter
	codec      compressor
	sample     distinctSample
}
