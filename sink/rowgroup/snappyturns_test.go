package rowgroup

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
)

// readsAsSnappy compares what two decoders make of the block of src.
func readsAsSnappy(t *testing.T, turns *snappyTurns, src []byte) (size int) {
	t.Helper()
	const guard = 0xa5
	room := turnsRoom(len(src))
	dst := bytes.Repeat([]byte{guard}, room+8)
	block := turns.encode(dst[:room:room], src)
	if !bytes.Equal(dst[room:], bytes.Repeat([]byte{guard}, 8)) {
		t.Fatalf("%d bytes: something was written behind the room", len(src))
	}
	for name, decode := range map[string]func([]byte) ([]byte, error){
		"klauspost/compress": func(b []byte) ([]byte, error) { return snappy.Decode(nil, b) },
		"the reference":      readSnappy,
	} {
		if got, err := decode(block); err != nil || !bytes.Equal(got, src) {
			t.Fatalf("%d bytes: %s does not read what was written: %v", len(src), name, err)
		}
	}
	return len(block)
}

// sentences are words of a small vocabulary.
func sentences(r *rand.Rand, size int) []byte {
	words := strings.Fields("the quick brown fox jumps over a lazy dog while seven purple engines hum quietly")
	var b []byte
	for len(b) < size {
		b = append(append(b, words[r.IntN(len(words))]...), ' ')
	}
	return b[:size]
}

// patches puts together what encoders stumble over: noise, runs, repetitions at
// all distances, of all lengths.
func patches(r *rand.Rand, size int) []byte {
	var b []byte
	for len(b) < size {
		n := 1 + r.IntN(1<<r.IntN(18))
		switch r.IntN(4) {
		case 0:
			for range n {
				b = append(b, byte(r.Uint32()))
			}
		case 1:
			b = append(b, bytes.Repeat([]byte{byte(r.Uint32())}, n)...)
		default:
			back := 1 + r.IntN(1<<r.IntN(19))
			for range min(n, 300) {
				if back > len(b) {
					back = max(len(b), 1)
					b = append(b, 'x')
				}
				b = append(b, b[len(b)-back])
			}
		}
	}
	return b[:size]
}

func TestSnappyInTurns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 6))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	text := sentences(r, 1<<20)
	var turns snappyTurns // one for all: nothing may be left of the page before
	for name, src := range map[string][]byte{
		"noise":                   noise,
		"text":                    text,
		"zeros":                   make([]byte, 1<<20),
		"three bytes":             bytes.Repeat([]byte("abc"), 400_000),
		"seventeen bytes":         bytes.Repeat([]byte("abcdefghijklmnopq"), 40_000),
		"64 KiB of noise, twice":  bytes.Repeat(noise[:1<<16], 8),
		"65,535 of noise, twice":  bytes.Repeat(noise[:1<<16-1], 8),
		"text, noise in the end":  append(text[:900_000:900_000], noise[:100_000]...),
		"noise, text in the end":  append(noise[:900_000:900_000], text[:100_000]...),
		"text and noise by turns": bytes.Repeat(append(text[:300:300], noise[:300]...), 1000),
		"five megabytes of text":  sentences(r, 5<<20),
		"a literal of 70,000":     append(append(text[:100_000:100_000], noise[:70_000]...), text...),
		"zeros and ones by steps": bytes.Repeat(append(make([]byte, 15), 1), 20_000),
	} {
		t.Run(name, func(t *testing.T) { readsAsSnappy(t, &turns, src) })
	}
	t.Run("all sizes", func(t *testing.T) {
		for size := turnsLeast; size < turnsLeast+70; size++ {
			readsAsSnappy(t, &turns, text[size%31:][:size])
		}
	})
	t.Run("patches", func(t *testing.T) {
		for range 30 {
			readsAsSnappy(t, &turns, patches(r, turnsLeast+r.IntN(1<<19)))
		}
	})
}

// Pages have about a megabyte; the encoder costs a few hundredths of the size.
func TestSnappyInTurnsIsAsSmall(t *testing.T) {
	src := sentences(rand.New(rand.NewPCG(1, 7)), 1<<20)
	size, usual := readsAsSnappy(t, new(snappyTurns), src), len(s2.EncodeSnappy(nil, src))
	if float64(size) > 1.05*float64(usual) {
		t.Errorf("%d bytes, and %d of the usual encoder", size, usual)
	}
}

func FuzzSnappyInTurns(f *testing.F) {
	f.Add([]byte("the thesis theory of there and then"), uint64(1), uint32(0))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 1}, 90), uint64(2), uint32(99_999))
	f.Fuzz(func(t *testing.T, input []byte, seed uint64, more uint32) {
		if len(input) == 0 {
			return
		}
		// A page of pieces of the input, of random lengths.
		r := rand.New(rand.NewPCG(seed, 0))
		size := turnsLeast + int(more%100_000)
		var src []byte
		for len(src) < size {
			at := r.IntN(len(input))
			src = append(src, input[at:at+1+r.IntN(len(input)-at)]...)
		}
		readsAsSnappy(t, new(snappyTurns), src[:size])
	})
}

func TestReadersSeeSnappyInTurns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	schema := named(arrow.BinaryTypes.String, arrow.BinaryTypes.LargeString, arrow.ListOf(arrow.BinaryTypes.String))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	words := b.Field(2).(*array.ListBuilder)
	for i := range 20_000 {
		b.Field(0).(*array.StringBuilder).Append(string(sentences(r, 30+r.IntN(50))))
		b.Field(1).(*array.LargeStringBuilder).Append(logPath(r, i))
		words.Append(true)
		for range r.IntN(3) {
			words.ValueBuilder().(*array.StringBuilder).Append(string(sentences(r, 60)))
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	batches := []arrow.RecordBatch{batch}

	e, err := New(schema, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Write(batch); err != nil {
		t.Fatal(err)
	}
	for i, c := range e.columns {
		if c.codecUse != withTurns {
			t.Errorf("column %d is not encoded in turns", i)
		}
	}
	dir := t.TempDir()
	for name, opts := range map[string]Options{"delta": {}, "plain": {Compat: true}} {
		f := file(t, schema, batches, opts, nil)
		compareBack(t, f, batches)
		save(t, dir, name, f, schema, batches)
	}
	compareInReaders(t, dir)
}

func logPath(r *rand.Rand, i int) string {
	return fmt.Sprintf("/var/log/app-%d/2024/%02d/part-%06d.log", r.IntN(20), r.IntN(12), i)
}

func TestWhoTakesTurns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 8))
	lines := func(line func(i int) string) []byte {
		var b []byte
		for i := 0; len(b) < 64<<10; i++ {
			b = append(b, line(i)...)
		}
		return b
	}
	for name, c := range map[string]struct {
		sample []byte
		want   bool
	}{
		"sentences":   {sentences(r, 64<<10), true},
		"paths":       {lines(func(i int) string { return logPath(r, i) }), true},
		"long copies": {make([]byte, 64<<10), false},
		"literals and copies": {lines(func(i int) string {
			return fmt.Sprintf("INFO worker-%d: job %d done in %d ms\n", r.IntN(9), r.IntN(1e6), r.IntN(5000))
		}), false},
		"keys":    {lines(func(int) string { return fmt.Sprintf("key-%012d", r.IntN(1e12)) }), false},
		"nothing": {nil, true},
	} {
		if got := nearlyAllCopies(s2.EncodeSnappy(nil, c.sample)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
