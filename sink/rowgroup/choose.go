package rowgroup

import "math"

// How an encoding is chosen: from a sample of the chunk's first page, by the
// bits that a value would take. The format leaves the choice to the writer.

const (
	sampleValues = 2048
	// A codec must take off at least this part of the bytes to be worth the
	// reader's and the writer's time.
	codecGain = 0.06
	// BYTE_STREAM_SPLIT must win more: not every old reader knows it.
	splitGain = 0.15
	// deltaStringGain is what DELTA_BYTE_ARRAY must take off, because values can
	// then only be read one after another.
	deltaStringGain = 0.25
	// leastShared is which part of the bytes must be shared with the value before
	// for DELTA_BYTE_ARRAY to be tried at all.
	leastShared = 0.2
)

// distinctSample counts distinct values.
type distinctSample struct {
	keys [2 * sampleValues]uint64
	used [2 * sampleValues]bool
	n    int
}

func (d *distinctSample) reset() {
	clear(d.used[:])
	d.n = 0
}

func (d *distinctSample) add(x uint64) {
	h := (x ^ hashA) * hashOdd >> 52 // 4096 places
	for d.used[h] && d.keys[h] != x {
		h = (h + 1) & (2*sampleValues - 1)
	}
	if !d.used[h] {
		d.used[h], d.keys[h] = true, x
		d.n++
	}
}

// estimateDistinct says how many distinct values there are if a sample of n
// shows d: it solves d = D(1-exp(-n/D)), the expectation for D equally
// frequent values. A sample of almost only distinct values says nothing.
func estimateDistinct(n, d int) int {
	if d >= n*95/100 && n > 16 || d == 0 {
		return math.MaxInt32
	}
	estimate := float64(d)
	for range 30 {
		estimate = float64(d) / (1 - math.Exp(-float64(n)/estimate))
		if estimate > math.MaxInt32 {
			return math.MaxInt32
		}
	}
	return int(estimate)
}

// sampleInts gives the size of a sample, the distinct values in it, and how
// many are the same as the value before them.
func sampleInts[T int32 | int64](s *distinctSample, v []T) (n, distinct, same int) {
	s.reset()
	step := max(1, len(v)/sampleValues)
	for i := 0; i < len(v) && n < sampleValues; i += step {
		s.add(uint64(v[i]))
		if i > 0 && v[i-1] == v[i] {
			same++
		}
		n++
	}
	return n, s.n, same
}

// dictionaryBits is what a value costs with a dictionary: its index, less what
// runs save, and its part of the dictionary page. It assumes that three more
// pages like this one follow.
func dictionaryBits(distinct, n int, valueBits, repeats float64) float64 {
	index := math.Ceil(math.Log2(float64(max(distinct, 2))))
	return index*min(1, (1-repeats)*1.5) + float64(distinct)*valueBits/float64(max(4*n, 1))
}

// chooseInts decides for INT32 and INT64, and for floats as bit patterns.
func chooseInts[T int32 | int64](c *column, w *workspace, v []T, valueRange uint64) encoding {
	bits := float64(bitsOf[T]())
	isFloat := c.order.isFloat()
	n, distinct, same := sampleInts(&w.sample, v)
	estimate := estimateDistinct(n, distinct)
	if !isFloat && valueRange < uint64(estimate) {
		estimate = int(valueRange) + 1
	}
	dictionary := math.Inf(1)
	if estimate <= c.limits.dictionaryValues && estimate*int(bits)/8 <= c.limits.dictionaryBytes {
		dictionary = dictionaryBits(estimate, len(v), bits, float64(same)/float64(n))
	}
	choice, best := plain, bits*0.9
	if !isFloat && !c.compat && len(v) > 1 {
		if delta := deltaBits(w, v); delta < best {
			choice, best = deltaPacked, delta
		}
	}
	if dictionary < best*1.05 {
		return dictionaryIndex
	}
	if choice == plain && isFloat && c.splitPays(w, bytesOf(middle(v, 8192)), int(bits)/8) {
		return byteStreamSplit
	}
	return choice
}

// middle is n values from the middle of v, or all of them.
func middle[T any](v []T, n int) []T {
	if len(v) <= n {
		return v
	}
	at := (len(v) - n) / 2
	return v[at : at+n]
}

// deltaBits is what a value costs delta packed, measured on eight blocks.
func deltaBits[T int32 | int64](w *workspace, v []T) float64 {
	const blocks = 8
	if len(v) <= blocks*deltaBlock {
		w.trial = appendDelta(w.trial[:0], v)
		return float64(8*len(w.trial)) / float64(len(v))
	}
	size := 0
	for k := range blocks {
		at := k * (len(v) - deltaBlock) / blocks
		w.trial = appendDelta(w.trial[:0], v[at:at+deltaBlock])
		size += len(w.trial) - deltaHeaderSize
	}
	return float64(8*size) / (blocks * deltaBlock)
}

// splitPays tells whether byte streams make the codec win enough.
func (c *column) splitPays(w *workspace, sample []byte, width int) bool {
	if c.compat || c.codec == None || len(sample) < 64*width {
		return false
	}
	var err error
	if w.trialOut, err = w.codec.compress(w.trialOut, sample); err != nil {
		return false
	}
	straight := min(len(w.trialOut), len(sample))
	w.trial = appendByteStreamSplit(w.trial[:0], sample, width)
	if w.trialOut, err = w.codec.compress(w.trialOut, w.trial); err != nil {
		return false
	}
	return float64(len(w.trialOut)) < (1-splitGain)*float64(straight)
}

// chooseFixed decides for FIXED_LEN_BYTE_ARRAY. The format allows
// BYTE_STREAM_SPLIT too, but duckdb (2.0) does not read it.
func chooseFixed(c *column, w *workspace, v []byte, width int) encoding {
	count := len(v) / width
	w.sample.reset()
	n, same := 0, 0
	for i, step := 0, max(1, count/sampleValues); i < count && n < sampleValues; i += step {
		s := v[i*width : (i+1)*width]
		a, b := wordsOf(s)
		w.sample.add(hashBytes(s, a, b))
		if i > 0 && string(v[(i-1)*width:i*width]) == string(s) {
			same++
		}
		n++
	}
	estimate := estimateDistinct(n, w.sample.n)
	bits := float64(8 * width)
	if estimate <= c.limits.dictionaryValues && estimate*width <= c.limits.dictionaryBytes &&
		dictionaryBits(estimate, count, bits, float64(same)/float64(n)) < 0.8*bits {
		return dictionaryIndex
	}
	return plain
}

// chooseBytes decides for BYTE_ARRAY.
func chooseBytes(c *column, w *workspace, s *byteSlices) encoding {
	count := len(s.start)
	w.sample.reset()
	n, total := 0, 0
	for i, step := 0, max(1, count/sampleValues); i < count && n < sampleValues; i += step {
		v := s.at(i)
		a, b := wordsOf(v)
		w.sample.add(hashBytes(v, a, b))
		total += len(v)
		n++
	}
	estimate := estimateDistinct(n, w.sample.n)
	if s.via != nil {
		estimate = min(estimate, s.distinct)
	}
	mean := total/n + 4
	if total > 0 && estimate <= c.limits.dictionaryValues && estimate < 2*max(count, 8) && estimate*mean <= c.limits.dictionaryBytes {
		return dictionaryIndex
	}
	switch {
	case c.compat:
		return plain
	case c.deltaStringsPay(w, s):
		return deltaStrings
	}
	return deltaLength
}

// deltaStringsPay compares the two delta forms, as the codec leaves them, on a
// stretch of values from the middle. The incremental form also pays where it
// needs no codec to be smaller than the other is with one: readers and writer
// then save the codec's time.
func (c *column) deltaStringsPay(w *workspace, s *byteSlices) bool {
	n := len(s.start)
	from := max(0, n/2-512)
	to := min(n, from+1024)
	bytes, shared := 0, 0
	for i := from + 1; i < to; i++ {
		v := s.at(i)
		bytes += len(v)
		shared += sharedPrefix(s.at(i-1), v)
	}
	if float64(shared) < leastShared*float64(bytes) || bytes == 0 {
		return false
	}
	size := func(b []byte) (raw, coded float64) {
		w.trial = b
		raw = float64(len(b))
		if c.codec == None {
			return raw, raw
		}
		out, err := w.codec.compress(w.trialOut, b)
		if err != nil {
			return raw, raw
		}
		w.trialOut = out
		return raw, min(raw, float64(len(out)))
	}
	_, straight := size(appendDeltaLength(w.trial[:0], s, from, to))
	raw, incremental := size(appendDeltaStrings(w.trial[:0], s, from, to, &w.deltas))
	if incremental < (1-deltaStringGain)*straight {
		return true
	}
	return c.codec != None && incremental > (1-codecGain)*raw && raw < straight
}

// chooseCodecUse tries the codec on the middle of a page's body. A large
// dictionary page is a part of the chunk, so it has its say.
func (c *column) chooseCodecUse(w *workspace, body, dictionary []byte) (codecUse, error) {
	const stretch = 64 << 10
	sample := middle(body, stretch)
	out, err := w.codec.compress(w.trialOut, sample)
	if err != nil {
		return notTried, err
	}
	w.trialOut = out
	use := withCodec
	if len(body) >= turnsLeast && w.codec.hasTurns() && nearlyAllCopies(out) {
		use = withTurns
	}
	before, after := float64(len(sample)), float64(len(out))
	if len(dictionary) > stretch/2 {
		part := dictionary[:min(len(dictionary), stretch)]
		if w.trialOut, err = w.codec.compress(w.trialOut, part); err != nil {
			return notTried, err
		}
		weight := float64(len(dictionary)) * float64(len(sample)) / float64(len(body))
		before += weight
		after += weight * float64(len(w.trialOut)) / float64(len(part))
	}
	if after > (1-codecGain)*before {
		return withoutCodec, nil
	}
	return use, nil
}
