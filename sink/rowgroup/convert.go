package rowgroup

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// LogicalTypes.md: Arrow values whose form differs from the Parquet one.

// conversion is how an Arrow value becomes a physical one.
type conversion uint8

const (
	asIs             conversion = iota
	fromInt8                    // widened, as all of the next three
	fromUint8                   //
	fromInt16                   //
	fromUint16                  //
	fromDate64                  // milliseconds to days
	fromSeconds                 // to milliseconds
	fromDecimal                 // little-endian words to INT32, INT64 or big-endian bytes
	fromMonths                  // to INTERVAL, as the next two
	fromDayTime                 //
	fromMonthDayNano            //
)

const millisPerDay = 24 * 60 * 60 * 1000

func widen[S int8 | uint8 | int16 | uint16](scratch *[]int32, src []S) []int32 {
	dst := resize(*scratch, len(src))
	for i, x := range src {
		dst[i] = int32(x)
	}
	*scratch = dst
	return dst
}

// int32s fills out.i32: INT32, and FLOAT as bit patterns.
func (w *workspace) int32s(lf *leaf, raw []byte, sel *selection, out *values) error {
	switch lf.conv {
	case asIs:
		out.i32 = gather(&w.gathered32, viewAs[int32](raw), sel)
	case fromInt8:
		out.i32 = widen(&w.converted32, gather(&w.gatheredInt8, viewAs[int8](raw), sel))
	case fromUint8:
		out.i32 = widen(&w.converted32, gather(&w.idx8, raw, sel))
	case fromInt16:
		out.i32 = widen(&w.converted32, gather(&w.gatheredInt16, viewAs[int16](raw), sel))
	case fromUint16:
		out.i32 = widen(&w.converted32, gather(&w.idx16, viewAs[uint16](raw), sel))
	case fromDate64:
		src := gather(&w.gathered64, viewAs[int64](raw), sel)
		dst := resize(w.converted32, len(src))
		for i, x := range src {
			days := x / millisPerDay
			if x%millisPerDay < 0 {
				days--
			}
			if days != int64(int32(days)) {
				return &ValueError{Column: lf.name, Reason: "a date has more days since 1970 than 32 bits hold"}
			}
			dst[i] = int32(days)
		}
		w.converted32, out.i32 = dst, dst
	case fromSeconds:
		src := gather(&w.gathered32, viewAs[int32](raw), sel)
		dst := resize(w.converted32, len(src))
		for i, x := range src {
			ms := int64(x) * 1000
			if ms != int64(int32(ms)) {
				return &ValueError{Column: lf.name, Reason: "a time in seconds overflows as milliseconds"}
			}
			dst[i] = int32(ms)
		}
		w.converted32, out.i32 = dst, dst
	case fromDecimal:
		if lf.source == 4 {
			out.i32 = gather(&w.gathered32, viewAs[int32](raw), sel)
			return nil
		}
		wide, err := w.decimals64(lf, raw, sel)
		if err != nil {
			return err
		}
		dst := resize(w.converted32, len(wide))
		for i, x := range wide {
			if x != int64(int32(x)) {
				return tooManyDigits(lf)
			}
			dst[i] = int32(x)
		}
		w.converted32, out.i32 = dst, dst
	}
	return nil
}

// int64s fills out.i64: INT64, and DOUBLE as bit patterns.
func (w *workspace) int64s(lf *leaf, raw []byte, sel *selection, out *values) (err error) {
	switch lf.conv {
	case asIs:
		out.i64 = gather(&w.gathered64, viewAs[int64](raw), sel)
	case fromSeconds:
		src := gather(&w.gathered64, viewAs[int64](raw), sel)
		dst := resize(w.converted64, len(src))
		for i, x := range src {
			if x > math.MaxInt64/1000 || x < math.MinInt64/1000 {
				return &ValueError{Column: lf.name, Reason: "a timestamp in seconds overflows as milliseconds"}
			}
			dst[i] = x * 1000
		}
		w.converted64, out.i64 = dst, dst
	case fromDecimal:
		out.i64, err = w.decimals64(lf, raw, sel)
	}
	return err
}

func tooManyDigits(lf *leaf) error {
	return &ValueError{Column: lf.name, Reason: "a decimal has more digits than its type declares"}
}

// decimals64 reads decimals of 8, 16 or 32 bytes that must fit in 64 bits.
func (w *workspace) decimals64(lf *leaf, raw []byte, sel *selection) ([]int64, error) {
	if lf.source == 8 {
		return gather(&w.gathered64, viewAs[int64](raw), sel), nil
	}
	var src []uint64
	if lf.source == 16 {
		src = viewAs[uint64](bytesOf(gather(&w.gathered128, viewAs[[2]uint64](raw), sel)))
	} else {
		src = viewAs[uint64](bytesOf(gather(&w.gathered256, viewAs[[4]uint64](raw), sel)))
	}
	words := lf.source / 8
	dst := resize(w.converted64, len(src)/words)
	for i := range dst {
		value := src[i*words : (i+1)*words]
		sign := uint64(int64(value[0]) >> 63)
		for _, high := range value[1:] {
			if high != sign {
				return nil, tooManyDigits(lf)
			}
		}
		dst[i] = int64(value[0])
	}
	w.converted64 = dst
	return dst, nil
}

// fixed fills out.fixed: FIXED_LEN_BYTE_ARRAY.
func (w *workspace) fixed(lf *leaf, raw []byte, sel *selection, out *values) error {
	switch lf.conv {
	case asIs:
		switch lf.width {
		case 2:
			out.fixed = bytesOf(gather(&w.idx16, viewAs[uint16](raw), sel))
		case 16:
			out.fixed = bytesOf(gather(&w.gathered128, viewAs[[2]uint64](raw), sel))
		default:
			out.fixed = w.gatherWide(raw, lf.width, sel)
		}
		return nil
	case fromDecimal:
		if lf.source == 16 {
			return w.bigEndian(lf, viewAs[uint64](bytesOf(gather(&w.gathered128, viewAs[[2]uint64](raw), sel))), out)
		}
		return w.bigEndian(lf, viewAs[uint64](bytesOf(gather(&w.gathered256, viewAs[[4]uint64](raw), sel))), out)
	}
	return w.intervals(lf, w.gatherWide(raw, lf.source, sel), out)
}

// gatherWide gathers values of any number of bytes.
func (w *workspace) gatherWide(raw []byte, width int, sel *selection) []byte {
	dst := w.wide[:0]
	switch {
	case sel.pick != nil:
		for _, p := range sel.pick {
			dst = append(dst, raw[int(p)*width:(int(p)+1)*width]...)
		}
	case sel.spans != nil:
		for _, s := range sel.spans {
			dst = append(dst, raw[s.start*width:(s.start+s.n)*width]...)
		}
	case sel.bitmap != nil:
		for i := 0; i < sel.n; i += 64 {
			n := min(64, sel.n-i)
			var word uint64
			if n == 64 {
				word = load64(sel.bitmap, sel.at+i)
			} else {
				word = loadBits(sel.bitmap, sel.at+i, n)
			}
			for ; word != 0; word &= word - 1 {
				p := (sel.at + i + bits.TrailingZeros64(word)) * width
				dst = append(dst, raw[p:p+width]...)
			}
		}
	default:
		return raw[sel.at*width : (sel.at+sel.n)*width]
	}
	w.wide = dst
	return dst
}

// bigEndian turns decimals of 16 or 32 bytes, as little-endian words, into as
// many big-endian bytes as the precision asks for.
func (w *workspace) bigEndian(lf *leaf, src []uint64, out *values) error {
	words, width := lf.source/8, lf.width
	n := len(src) / words
	dst := resize(w.converted, n*width)
	var wide [32]byte
	for i := range n {
		value := src[i*words : (i+1)*words]
		for k, word := range value {
			binary.BigEndian.PutUint64(wide[8*(words-1-k):], word)
		}
		whole := wide[:8*words]
		cut := len(whole) - width
		// What is cut off must repeat the sign.
		sign := byte(int8(whole[cut]) >> 7)
		for _, b := range whole[:cut] {
			if b != sign {
				return tooManyDigits(lf)
			}
		}
		copy(dst[i*width:(i+1)*width], whole[cut:])
	}
	w.converted, out.fixed = dst, dst
	return nil
}

// intervals makes INTERVAL of Arrow's three kinds. Parquet knows months, days
// and milliseconds; what has no exact form there is refused, not rounded.
func (w *workspace) intervals(lf *leaf, src []byte, out *values) error {
	n := len(src) / lf.source
	dst := resize(w.converted, n*12)
	for i := range n {
		s, d := src[i*lf.source:], dst[i*12:(i+1)*12]
		switch lf.conv {
		case fromMonths:
			clear(d)
			copy(d, s[:4])
		case fromDayTime:
			clear(d[:4])
			copy(d[4:], s[:8])
		default:
			nanos := int64(binary.LittleEndian.Uint64(s[8:]))
			millis := nanos / 1e6
			if millis*1e6 != nanos {
				return &ValueError{Column: lf.name, Reason: "an interval has a part of a millisecond, which Parquet's INTERVAL cannot hold"}
			}
			if millis != int64(int32(millis)) {
				return &ValueError{Column: lf.name, Reason: "an interval has more milliseconds than the 32 bits of Parquet's INTERVAL hold"}
			}
			copy(d, s[:8])
			binary.LittleEndian.PutUint32(d[8:], uint32(int32(millis)))
		}
	}
	w.converted, out.fixed = dst, dst
	return nil
}
