package parquet

import (
	"io"

	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
)

// codecNames are the values of the option "compression".
var codecNames = []string{"snappy", "zstd", "gzip", "lz4", "none"}

// codecs maps them. "lz4" is LZ4_RAW: the older LZ4 has a framing that readers
// disagree about.
var codecs = map[string]compress.Compression{
	"snappy": compress.Codecs.Snappy,
	"zstd":   compress.Codecs.Zstd,
	"gzip":   compress.Codecs.Gzip,
	"lz4":    compress.Codecs.Lz4Raw,
	"none":   compress.Codecs.Uncompressed,
}

// fastSnappy encodes with the fast mode. The snappy.Encode that arrow-go uses
// takes a mode that is several times slower for a few percent of size.
type fastSnappy struct{}

func (fastSnappy) Encode(dst, src []byte) []byte             { return s2.EncodeSnappy(dst, src) }
func (fastSnappy) EncodeLevel(dst, src []byte, _ int) []byte { return s2.EncodeSnappy(dst, src) }
func (fastSnappy) CompressBound(length int64) int64          { return int64(snappy.MaxEncodedLen(int(length))) }

func (fastSnappy) NewWriter(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) }
func (s fastSnappy) NewWriterLevel(w io.Writer, _ int) (io.WriteCloser, error) {
	return s.NewWriter(w), nil
}
func (fastSnappy) NewReader(r io.Reader) io.ReadCloser { return io.NopCloser(snappy.NewReader(r)) }

func (fastSnappy) DecodeWithError(dst, src []byte) ([]byte, error) { return snappy.Decode(dst, src) }

// Decode is for arrow-go's readers, which recover the panic that its contract
// asks for.
func (s fastSnappy) Decode(dst, src []byte) []byte {
	out, err := s.DecodeWithError(dst, src)
	if err != nil {
		panic(err)
	}
	return out
}

// The codecs of arrow-go are global and must be set before they are used.
func init() { compress.RegisterCodec(compress.Codecs.Snappy, fastSnappy{}) }

// levels are the codecs' own levels, where a default costs much memory or time
// for little size.
var levels = map[string]int{"zstd": 1, "gzip": 6}
