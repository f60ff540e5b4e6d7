package parquet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/casparian-flow/casparian-worker/sink"
	"github.com/casparian-flow/casparian-worker/sink/rowgroup"
)

// Options of a URI, its query. docs/sinks.md has what they mean to a user.
const (
	optionCompression   = "compression"
	optionLevel         = "level"
	optionEncoding      = "encoding"
	optionRowGroupRows  = "row_group_rows"
	optionRowGroupBytes = "row_group_bytes"
	optionPageBytes     = "page_bytes"
	optionBloom         = "bloom"
)

var optionNames = []string{optionCompression, optionLevel, optionEncoding, optionRowGroupRows, optionRowGroupBytes,
	optionPageBytes, optionBloom}

// codecNames are the values of the option "compression".
var codecNames = []string{"snappy", "zstd", "gzip", "lz4", "none"}

// codecs maps them. "lz4" is LZ4_RAW: the older LZ4 has a framing that readers
// disagree about.
var codecs = map[string]rowgroup.Compression{
	"snappy": rowgroup.Snappy,
	"zstd":   rowgroup.Zstd,
	"gzip":   rowgroup.Gzip,
	"lz4":    rowgroup.LZ4Raw,
	"none":   rowgroup.None,
}

// Values of the option "encoding".
const (
	encodingAuto   = "auto"
	encodingCompat = "compat" // PLAIN and RLE_DICTIONARY only
)

// What the options may be. A row group waits in memory, encoded; a page is in
// memory a few times over while it is encoded.
const (
	mostRowGroupRows  = 1 << 30
	leastRowGroupSize = 1 << 10
	mostRowGroupSize  = 4 << 30
	leastPageSize     = 1 << 10
	mostPageSize      = 256 << 20
)

// encoding is how one output is written.
type encoding struct {
	codec         string // one of codecNames
	level         int    // 0: the codec's default
	compat        bool
	rowGroupRows  int64
	rowGroupBytes int64
	pageBytes     int64    // 0: the encoder's default
	bloom         []string // columns, as paths of the Parquet schema
}

// fingerprint tells one way of writing from another.
func (e encoding) fingerprint() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%+v", e))
	return hex.EncodeToString(sum[:8])
}

// parseOptions reads a URI's options. What is not given is as the worker is
// configured. Whatever is wrong is an [*sink.OptionError].
func parseOptions(uri sink.URI, config Config) (encoding, error) {
	e := encoding{rowGroupRows: config.RowGroupRows, rowGroupBytes: config.RowGroupBytes}
	err := uri.Only(optionNames...)
	if err != nil {
		return e, err
	}
	if e.codec, err = uri.Choice(optionCompression, config.Compression, codecNames...); err != nil {
		return e, err
	}
	how, err := uri.Choice(optionEncoding, encodingAuto, encodingAuto, encodingCompat)
	if err != nil {
		return e, err
	}
	e.compat = how == encodingCompat
	if e.level, err = parseLevel(uri, e.codec); err != nil {
		return e, err
	}
	if e.rowGroupRows, err = wholeNumber(uri, optionRowGroupRows, e.rowGroupRows, 1, mostRowGroupRows, ""); err != nil {
		return e, err
	}
	if e.rowGroupBytes, err = wholeNumber(uri, optionRowGroupBytes, e.rowGroupBytes, leastRowGroupSize, mostRowGroupSize, " bytes"); err != nil {
		return e, err
	}
	if e.pageBytes, err = wholeNumber(uri, optionPageBytes, 0, leastPageSize, mostPageSize, " bytes"); err != nil {
		return e, err
	}
	e.bloom, err = parseBloom(uri)
	return e, err
}

func parseLevel(uri sink.URI, codec string) (int, error) {
	low, high := codecs[codec].Levels()
	if text, given := uri.Options[optionLevel]; given && high == 0 {
		return 0, &sink.OptionError{Option: optionLevel, Value: strings.Join(text, ","), Reason: fmt.Sprintf("compression %q has no levels", codec)}
	}
	level, err := wholeNumber(uri, optionLevel, 0, int64(low), int64(high), " with compression "+codec)
	return int(level), err
}

// wholeNumber gives an option that must be a whole number from low to high; fallback
// when it is not given. unit is for the message.
func wholeNumber(uri sink.URI, option string, fallback, low, high int64, unit string) (int64, error) {
	text, given, err := once(uri, option)
	if err != nil || !given {
		return fallback, err
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < low || value > high {
		return 0, &sink.OptionError{Option: option, Value: text, Reason: fmt.Sprintf("must be a whole number from %d to %d%s", low, high, unit)}
	}
	return value, nil
}

// parseBloom reads column names with commas between them. Whether there are such
// columns is known when the first rows come.
func parseBloom(uri sink.URI) ([]string, error) {
	text, given, err := once(uri, optionBloom)
	if err != nil || !given {
		return nil, err
	}
	columns := strings.Split(text, ",")
	seen := make(map[string]bool, len(columns))
	for _, column := range columns {
		if column == "" || seen[column] {
			return nil, &sink.OptionError{Option: optionBloom, Value: text, Reason: "must be names of different columns, with commas between them"}
		}
		seen[column] = true
	}
	return columns, nil
}

func once(uri sink.URI, option string) (text string, given bool, err error) {
	values, given := uri.Options[option]
	if len(values) > 1 {
		return "", true, &sink.OptionError{Option: option, Value: strings.Join(values, ","), Reason: "given more than once"}
	}
	if !given {
		return "", false, nil
	}
	return values[0], true, nil
}
