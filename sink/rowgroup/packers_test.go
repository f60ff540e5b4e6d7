package rowgroup

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"testing"
)

// values32 makes a sequence of n values below 1<<width from fuzz input: the
// bytes choose between runs and differing values.
func values32(input []byte, width uint) []uint32 {
	var v []uint32
	x := uint32(1)
	for _, b := range input {
		x = x*1664525 + 1013904223 + uint32(b)
		n := 1
		if b&1 == 0 {
			n = int(b >> 1)
		}
		for range n {
			v = append(v, uint32(uint64(x)&(1<<width-1)))
		}
	}
	return v
}

func FuzzHybrid(f *testing.F) {
	f.Add([]byte{1, 3, 5, 7, 9, 11, 13, 40, 2, 200}, uint8(3))
	f.Add([]byte{255, 254, 253, 1, 1, 1, 1}, uint8(20))
	f.Add(bytes.Repeat([]byte{1}, 300), uint8(32))
	f.Fuzz(func(t *testing.T, input []byte, width uint8) {
		w := uint(width%32) + 1
		v := values32(input, w)
		got, err := readHybrid(appendHybrid([]byte("x"), v, w)[1:], int(w), len(v))
		if err != nil || !slices.Equal(got, v) {
			t.Fatalf("width %d, %d values: %v", w, len(v), err)
		}
		narrow := make([]uint8, len(v))
		for i, x := range v {
			narrow[i] = uint8(x) & (1<<min(w, 7) - 1)
		}
		back, err := readHybrid(appendHybrid(nil, narrow, min(w, 7)), int(min(w, 7)), len(v))
		if err != nil {
			t.Fatal(err)
		}
		for i := range back {
			if back[i] != uint32(narrow[i]) {
				t.Fatalf("level %d is %d, not %d", i, back[i], narrow[i])
			}
		}
	})
}

func FuzzHybridBits(f *testing.F) {
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, uint8(3))
	f.Add(bytes.Repeat([]byte{0}, 64), uint8(1))
	f.Fuzz(func(t *testing.T, bitmap []byte, skip uint8) {
		at := int(skip % 9)
		n := 8*len(bitmap) - at
		if n <= 0 {
			return
		}
		got, err := readHybrid(appendHybridBits(nil, bitmap, at, n), 1, n)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if uint64(got[i]) != bitsAt(bitmap, at+i, 1) {
				t.Fatalf("bit %d differs", i)
			}
		}
	})
}

// values64 makes integers of all sizes from fuzz input.
func values64(input []byte) []int64 {
	var v []int64
	x := int64(0)
	for _, b := range input {
		switch b % 7 {
		case 0:
			x = math.MinInt64
		case 1:
			x = math.MaxInt64
		case 2:
			x += int64(b)
		case 3:
			x = x*6364136223846793005 + int64(b)
		case 4:
			x >>= b % 60
		}
		v = append(v, x)
	}
	return v
}

func FuzzDelta(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 2, 2, 2, 2})
	f.Add(bytes.Repeat([]byte{2, 3, 4, 5, 0, 1}, 60))
	f.Fuzz(func(t *testing.T, input []byte) {
		v := values64(input)
		got, rest, err := readDelta(appendDelta(nil, v), 64)
		if err != nil || len(rest) > 0 || !slices.Equal(got, v) {
			t.Fatalf("64 bits, %d values: %v, %d bytes left", len(v), err, len(rest))
		}
		narrow := make([]int32, len(v))
		wide := make([]int64, len(v))
		for i, x := range v {
			narrow[i] = int32(x)
			wide[i] = int64(int32(x))
		}
		got, rest, err = readDelta(appendDelta(nil, narrow), 32)
		if err != nil || len(rest) > 0 || !slices.Equal(got, wide) {
			t.Fatalf("32 bits, %d values: %v, %d bytes left", len(v), err, len(rest))
		}
	})
}

// slicesOf cuts input into values; every third shares the beginning of the one
// before, and some lie in another order than in memory.
func slicesOf(input []byte, scattered bool) *byteSlices {
	s := &byteSlices{data: input, packed: !scattered}
	for at := 0; at < len(input); {
		n := min(int(input[at]%9), len(input)-at)
		s.start, s.size = append(s.start, at), append(s.size, int32(n))
		s.total += n
		at += max(n, 1)
		if n == 0 {
			s.packed = false
		}
	}
	if scattered {
		slices.Reverse(s.start)
		slices.Reverse(s.size)
	}
	return s
}

func FuzzDeltaBytes(f *testing.F) {
	f.Add([]byte("the thesis theory of there and then"), false)
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), true)
	f.Fuzz(func(t *testing.T, input []byte, scattered bool) {
		s := slicesOf(input, scattered)
		n := len(s.start)
		sizes, rest, err := readDelta(appendDeltaLength(nil, s, 0, n), 32)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if k := int(sizes[i]); !bytes.Equal(rest[:k], s.at(i)) {
				t.Fatalf("value %d is %q, not %q", i, rest[:k], s.at(i))
			}
			rest = rest[sizes[i]:]
		}
		var scratch deltaScratch
		prefixes, rest, err := readDelta(appendDeltaStrings(nil, s, 0, n, &scratch), 32)
		if err != nil {
			t.Fatal(err)
		}
		suffixes, rest, err := readDelta(rest, 32)
		if err != nil {
			t.Fatal(err)
		}
		var prev []byte
		for i := range n {
			v := append(bytes.Clone(prev[:prefixes[i]]), rest[:suffixes[i]]...)
			rest = rest[suffixes[i]:]
			if !bytes.Equal(v, s.at(i)) {
				t.Fatalf("value %d is %q, not %q", i, v, s.at(i))
			}
			prev = v
		}
		if len(rest) > 0 {
			t.Fatalf("%d bytes are left over", len(rest))
		}
	})
}

func FuzzByteStreamSplit(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), uint8(8))
	f.Fuzz(func(t *testing.T, input []byte, w uint8) {
		width := int(w%16) + 1
		n := len(input) / width
		got := appendByteStreamSplit(nil, input[:n*width], width)
		for i := range n {
			for k := range width {
				if got[k*n+i] != input[i*width+k] {
					t.Fatalf("width %d: byte %d of value %d", width, k, i)
				}
			}
		}
	})
}

func FuzzBitmaps(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18}, uint16(5), uint16(90))
	f.Fuzz(func(t *testing.T, b []byte, from, count uint16) {
		if len(b) == 0 {
			return
		}
		at := int(from) % (8 * len(b))
		n := int(count) % (8*len(b) - at + 1)
		var src []int
		var want []int
		ones := 0
		var w, sel bitWriter
		other := make([]byte, len(b))
		for i := range other {
			other[i] = b[len(b)-1-i] ^ 0x5a
		}
		var wantSel []uint64
		for i := range n {
			src = append(src, i)
			if bitsAt(b, at+i, 1) == 1 {
				want = append(want, i)
				ones++
				wantSel = append(wantSel, bitsAt(other, at+i, 1))
			}
		}
		if got := countBits(b, at, n); got != ones {
			t.Fatalf("%d bits are set, not %d", ones, got)
		}
		if got := compact(nil, src, b, at); !slices.Equal(got, want) {
			t.Fatalf("compact gives %v, not %v", got, want)
		}
		w.add(1, 1)
		w.addRange(b, at, n)
		w.addOnes(n)
		out := w.bytes()
		plain := appendBits(nil, b, at, n)
		for i := range n {
			if bit := bitsAt(b, at+i, 1); bitsAt(out, 1+i, 1) != bit || bitsAt(plain, i, 1) != bit {
				t.Fatalf("bit %d differs", i)
			}
			if bitsAt(out, 1+n+i, 1) != 1 {
				t.Fatalf("bit %d of the ones is none", i)
			}
		}
		if len(plain) != (n+7)/8 || n%8 != 0 && plain[len(plain)-1]>>(n%8) != 0 {
			t.Fatal("the last byte is not filled up with zeros")
		}
		sel.addSelected(other, b, at, n)
		out = sel.bytes()
		for i, bit := range wantSel {
			if bitsAt(out, i, 1) != bit {
				t.Fatalf("selected bit %d differs", i)
			}
		}
	})
}

func FuzzRowGroupMetadata(f *testing.F) {
	g := newGenerator(3)
	schema := named(append(flatTypes()[:20], nestedTypes()[:5]...)...)
	e, err := New(schema, Options{BloomColumns: []string{"c4"}})
	if err != nil {
		f.Fatal(err)
	}
	if err := e.Write(g.batch(schema, 50)); err != nil {
		f.Fatal(err)
	}
	var out bytes.Buffer
	group, err := e.Finish(&out)
	if err != nil {
		f.Fatal(err)
	}
	kept, _ := group.MarshalBinary()
	f.Add(kept)
	f.Fuzz(func(t *testing.T, data []byte) {
		var g RowGroup
		if err := g.UnmarshalBinary(data); err != nil {
			return
		}
		// What could be read can be written, and reads the same again.
		again, err := g.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var h RowGroup
		if err := h.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
		third, _ := h.MarshalBinary()
		if !bytes.Equal(again, third) {
			t.Fatal("the second form differs from the third")
		}
	})
}

// A decimal's width is the smallest that holds its largest value with a sign.
func TestDecimalWidthHoldsEveryPrecision(t *testing.T) {
	for p := int32(1); p <= 76; p++ {
		most := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p)), nil)
		most.Sub(most, big.NewInt(1))
		if got, want := decimalWidth(p), (most.BitLen()+1+7)/8; got != want {
			t.Errorf("precision %d: %d bytes, not %d", p, got, want)
		}
	}
}

func TestDictionaryIndexesGiveTheValuesBack(t *testing.T) {
	for name, v := range map[string][]int64{
		"small range":      {5, 6, 5, 7, 300, 5},
		"window then wide": {1, 2, 3, 1 << 40, 2, -9, 1 << 40},
		"extremes":         {math.MinInt64, math.MaxInt64, 0, -1, math.MinInt64},
	} {
		d := intDictionary[int64]{most: 1 << 16}
		d.seed(v[0], 400)
		out := make([]uint32, len(v))
		d.encode(v, out)
		for i, x := range v {
			if d.values[out[i]] != x {
				t.Errorf("%s: value %d is %d, not %d", name, i, d.values[out[i]], x)
			}
		}
	}
	var d bytesDictionary
	for i := range 5000 {
		s := binary.AppendUvarint(bytes.Repeat([]byte{'x'}, i%40), uint64(bits.Reverse32(uint32(i))))
		if k := d.find(s); string(d.at(int(k))) != string(s) || d.find(s) != k {
			t.Fatalf("%q is found as %q", s, d.at(int(k)))
		}
	}
}
