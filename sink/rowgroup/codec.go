package rowgroup

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compression.md: a codec works on one page's body at a time.

// Compression is how pages are compressed. The zero value is Snappy.
type Compression uint8

const (
	Snappy Compression = iota // level 2 and above: smaller and slower
	None
	Zstd   // levels 1 (the default) to 22, which stand for four kinds of effort
	Gzip   // levels 1 to 9
	LZ4Raw // level 2 and above: smaller and much slower
)

var compressionNames = [...]string{Snappy: "snappy", None: "none", Zstd: "zstd", Gzip: "gzip", LZ4Raw: "lz4_raw"}

func (c Compression) String() string {
	if int(c) < len(compressionNames) {
		return compressionNames[c]
	}
	return fmt.Sprintf("compression(%d)", uint8(c))
}

// ParseCompression reads a name: snappy, none, zstd, gzip or lz4_raw.
func ParseCompression(name string) (Compression, error) {
	for c, n := range compressionNames {
		if n == name {
			return Compression(c), nil
		}
	}
	return 0, fmt.Errorf("unknown compression %q; snappy, none, zstd, gzip and lz4_raw are known", name)
}

// codecNumber is parquet.thrift's enum CompressionCodec.
func (c Compression) codecNumber() int32 {
	return [...]int32{Snappy: 1, None: 0, Zstd: 6, Gzip: 2, LZ4Raw: 7}[c]
}

// Levels gives the lowest and highest level of a codec, zeros where it has none.
// Level zero always stands for its default.
func (c Compression) Levels() (low, high int) {
	switch c {
	case Snappy:
		return 1, 2
	case Zstd:
		return 1, 22
	case Gzip, LZ4Raw:
		return 1, 9
	}
	return 0, 0
}

// compressor holds the state of one worker's codec. It is made at first use.
type compressor struct {
	kind  Compression
	level int
	zstd  *zstd.Encoder
	gzip  *gzip.Writer
	lz4   *lz4.Compressor
	lz4hc *lz4.CompressorHC
	turns *snappyTurns
	sink  bytes.Buffer
}

// compress gives the compressed form of src in the memory of dst.
func (c *compressor) compress(dst, src []byte) ([]byte, error) {
	switch c.kind {
	case Snappy:
		n := s2.MaxEncodedLen(len(src))
		if n < 0 {
			return nil, fmt.Errorf("a page of %d bytes is too long for snappy", len(src))
		}
		return c.snappy(resize(dst, n), src), nil
	case Zstd:
		if c.zstd == nil {
			level := zstd.SpeedFastest
			if c.level > 0 {
				level = zstd.EncoderLevelFromZstd(c.level)
			}
			var err error
			c.zstd, err = zstd.NewWriter(nil,
				zstd.WithEncoderLevel(level),
				zstd.WithEncoderConcurrency(1),
				zstd.WithEncoderCRC(false), // pages have their own
				// Without it the fastest level leaves literals as they are.
				zstd.WithAllLitEntropyCompression(true))
			if err != nil {
				return nil, fmt.Errorf("start zstd: %w", err)
			}
		}
		return c.zstd.EncodeAll(src, dst[:0]), nil
	case Gzip:
		c.sink.Reset()
		if c.gzip == nil {
			level := c.level
			if level == 0 {
				level = gzip.DefaultCompression
			}
			var err error
			if c.gzip, err = gzip.NewWriterLevel(&c.sink, level); err != nil {
				return nil, fmt.Errorf("start gzip: %w", err)
			}
		} else {
			c.gzip.Reset(&c.sink)
		}
		if _, err := c.gzip.Write(src); err != nil {
			return nil, fmt.Errorf("gzip a page: %w", err)
		}
		if err := c.gzip.Close(); err != nil {
			return nil, fmt.Errorf("gzip a page: %w", err)
		}
		return append(dst[:0], c.sink.Bytes()...), nil
	case LZ4Raw:
		if len(src) == 0 {
			return append(dst[:0], 0), nil // one token: no literals
		}
		dst = resize(dst, lz4.CompressBlockBound(len(src)))
		var n int
		var err error
		if c.level >= 2 {
			if c.lz4hc == nil {
				c.lz4hc = &lz4.CompressorHC{Level: lz4.CompressionLevel(1 << (7 + c.level))}
			}
			n, err = c.lz4hc.CompressBlock(src, dst)
		} else {
			if c.lz4 == nil {
				c.lz4 = new(lz4.Compressor)
			}
			n, err = c.lz4.CompressBlock(src, dst)
		}
		if err != nil {
			return nil, fmt.Errorf("compress a page with lz4: %w", err)
		}
		return dst[:n], nil
	}
	return append(dst[:0], src...), nil
}

func (c *compressor) snappy(dst, src []byte) []byte {
	if c.level >= 2 {
		return s2.EncodeSnappyBetter(dst[:cap(dst)], src)
	}
	return s2.EncodeSnappy(dst[:cap(dst)], src)
}

// hasTurns tells whether the second encoder of Snappy may be used.
func (c *compressor) hasTurns() bool { return c.kind == Snappy && c.level < 2 }

// snappySegments gives the compressed form of what the segments are behind one
// another, without putting them there. A Snappy block is the length of the
// whole and then elements, none of which knows where the block began: blocks
// without their lengths may follow one another. With turns the second encoder
// takes the segments that are large enough.
func (c *compressor) snappySegments(dst []byte, segments [][]byte, turns bool) ([]byte, error) {
	total, room := 0, binary.MaxVarintLen64
	for _, s := range segments {
		n := s2.MaxEncodedLen(len(s))
		if n < 0 {
			return nil, fmt.Errorf("a page of %d bytes is too long for snappy", len(s))
		}
		total += len(s)
		room += max(n, turnsRoom(len(s)))
	}
	dst = resize(dst, room)
	var length [binary.MaxVarintLen64]byte
	end := binary.PutUvarint(dst, uint64(total))
	for _, s := range segments {
		if len(s) == 0 {
			continue
		}
		// The segment's own length is written over the bytes in front of its
		// elements, which are put back. There are enough: the whole's length
		// takes no fewer.
		n := binary.PutUvarint(length[:], uint64(len(s)))
		at := end - n
		copy(length[:n], dst[at:end])
		var block []byte
		if turns && len(s) >= turnsLeast {
			if c.turns == nil {
				c.turns = new(snappyTurns)
			}
			block = c.turns.encode(dst[at:], s)
		} else {
			block = c.snappy(dst[at:at:at+s2.MaxEncodedLen(len(s))], s)
		}
		copy(dst[at:end], length[:n])
		end = at + len(block)
	}
	return dst[:end], nil
}
