package rowgroup

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// Values of few letters and all lengths around the two words that are compared
// first, zeros among them, which a short value's prefix is filled up with.
func TestBytesBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var s byteSlices
		same := bytes.Repeat([]byte{byte(r.IntN(2))}, r.IntN(20))
		for range 1 + r.IntN(20) {
			s.start = append(s.start, len(s.data))
			s.data = append(s.data, same...)
			for range r.IntN(4) {
				s.data = append(s.data, byte(r.IntN(3)))
			}
			s.size = append(s.size, int32(len(s.data)-s.start[len(s.start)-1]))
		}
		wantLow, wantHigh := s.at(0), s.at(0)
		for i := range s.start {
			if v := s.at(i); bytes.Compare(v, wantLow) < 0 {
				wantLow = v
			}
			if v := s.at(i); bytes.Compare(v, wantHigh) > 0 {
				wantHigh = v
			}
		}
		low, high := bytesBounds(&s)
		if !bytes.Equal(low, wantLow) || !bytes.Equal(high, wantHigh) {
			t.Fatalf("bounds of %d values: %x to %x, want %x to %x", len(s.start), low, high, wantLow, wantHigh)
		}
	}
}

func TestFloatBounds(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		values    []float64
		low, high float64
		nans      int64
		has       bool
	}{
		{[]float64{3}, 3, 3, 0, true},
		{[]float64{nan, 3, nan, -1, 2}, -1, 3, 2, true},
		{[]float64{1, 2, 3, nan}, 1, 3, 1, true},
		{[]float64{3, 2, 1}, 1, 3, 0, true},
		{[]float64{inf}, inf, inf, 0, true},
		{[]float64{-inf, nan}, -inf, -inf, 1, true},
		{[]float64{-inf, 0, inf}, -inf, inf, 0, true},
		{[]float64{nan, nan}, 0, 0, 2, false},
	} {
		low, high, nans, has := floatBounds(c.values)
		if has != c.has || nans != c.nans || has && (low != c.low || high != c.high) {
			t.Errorf("%v: %v to %v, %d NaN, %v; want %v to %v, %d NaN, %v", c.values, low, high, nans, has, c.low, c.high, c.nans, c.has)
		}
	}
}
