package parquet

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/casparian-flow/casparian-worker/sink"
)

// dropped is a writer that its process took along: nothing is closed or cleaned
// up that a killed process would not have.
func dropped(t *testing.T, w sink.Writer) {
	t.Helper()
	must(t, w.(*writer).assembler.file.Close())
	w.(*writer).closed = true
}

// TestResumeFromEveryFlush: whatever came after a token, going on behind it
// gives the same rows as if nothing had happened.
func TestResumeFromEveryFlush(t *testing.T) {
	after := map[string]func(t *testing.T, path string, durable int64){
		"nothing came after": func(*testing.T, string, int64) {},
		"half a row group": func(t *testing.T, path string, durable int64) {
			appendTo(t, path, bytes.Repeat([]byte{0xAB}, 5000))
		},
		"a footer that looks whole": func(t *testing.T, path string, durable int64) {
			appendTo(t, path, []byte("\x10\x00\x00\x00PAR1"))
		},
		"exactly the durable end": func(t *testing.T, path string, durable int64) {
			must(t, os.Truncate(path, durable))
		},
	}
	for name, meddle := range after {
		t.Run(name, func(t *testing.T) {
			for flushes := 1; flushes <= 4; flushes++ {
				driver := newDriver(t, Config{RowGroupRows: 700})
				to := target("parquet://a.parquet")
				first := open(t, driver, to, nil)
				var token sink.Token
				rows := int64(0)
				for range flushes {
					write(t, first, ints(rows, rows+1000))
					rows += 1000
					token = flush(t, first)
				}
				write(t, first, ints(rows, rows+900)) // never durable
				dropped(t, first)
				meddle(t, filepath.Join(driver.config.Root, stagingName(to)), first.(*writer).assembler.last.End)

				again := newDriver(t, Config{Root: driver.config.Root, RowGroupRows: 700})
				later := to
				later.Attempt = 2
				second := open(t, again, later, roundTrip(t, token))
				if got := second.Stats().Rows; got != rows {
					t.Fatalf("%d rows are durable, the writer says %d", rows, got)
				}
				write(t, second, ints(rows, rows+500))
				wantNumbers(t, commit(t, again, later, seal(t, second)), rows+500)
				wantFiles(t, again, "a_7.parquet")
			}
		})
	}
}

// TestResumeAgainAndAgain: a job that is killed at random is in the end whole.
func TestResumeAgainAndAgain(t *testing.T) {
	const seed = 11
	random := rand.New(rand.NewPCG(seed, 0))
	driver := newDriver(t, Config{RowGroupRows: 300})
	to := target("parquet://a.parquet")
	var token sink.Token
	rows, total := int64(0), int64(20_000)
	for kills := 0; ; kills++ {
		to.Attempt++
		w := open(t, driver, to, token)
		at := rows
		for at < total {
			n := min(total-at, 1+random.Int64N(800))
			write(t, w, ints(at, at+n))
			at += n
			if random.IntN(3) == 0 {
				token, rows = flush(t, w), at
			}
			if kills < 25 && random.IntN(4) == 0 {
				break
			}
		}
		if at < total {
			if w.(*writer).assembler.file != nil {
				dropped(t, w)
			}
			continue
		}
		wantNumbers(t, commit(t, driver, to, seal(t, w)), total)
		wantFiles(t, driver, "a_7.parquet")
		return
	}
}

func TestResumeAfterASealThatNobodyHeardOf(t *testing.T) {
	driver := newDriver(t, Config{})
	to := target("parquet://a.parquet")
	first := open(t, driver, to, nil)
	write(t, first, ints(0, 100))
	token := flush(t, first)
	write(t, first, ints(100, 200))
	seal(t, first)

	second := open(t, driver, to, token)
	write(t, second, ints(100, 150))
	wantNumbers(t, commit(t, driver, to, seal(t, second)), 150)
}

func TestFlushWithNothingNewGivesTheSameToken(t *testing.T) {
	driver := newDriver(t, Config{})
	to := target("parquet://a.parquet")
	w := open(t, driver, to, nil)
	write(t, w, ints(0, 10))
	one := flush(t, w)
	before := w.Stats().Bytes
	if two := flush(t, w); !bytes.Equal(one, two) || w.Stats().Bytes != before {
		t.Errorf("flushed %s, then %s", one, two)
	}
	must(t, w.Close())
	resumed := open(t, driver, to, one)
	if three := flush(t, resumed); !bytes.Equal(one, three) {
		t.Errorf("flushed %s, and after a resume %s", one, three)
	}
	wantNumbers(t, commit(t, driver, to, seal(t, resumed)), 10)
}

// TestTheTokenStaysSmall: a long job flushes often, and each token goes into a
// journal.
func TestTheTokenStaysSmall(t *testing.T) {
	driver := newDriver(t, Config{})
	w := open(t, driver, target("parquet://a.parquet"), nil)
	for i := range int64(200) {
		write(t, w, ints(i, i+1))
		if token := flush(t, w); len(token) > 400 {
			t.Fatalf("token %d has %d bytes", i, len(token))
		}
	}
}

// TestDamageIsTold: a staged file that is not what the token says is never gone
// on with.
func TestDamageIsTold(t *testing.T) {
	for name, meddle := range map[string]func(t *testing.T, path string, last flushed){
		"missing": func(t *testing.T, path string, _ flushed) { must(t, os.Remove(path)) },
		"empty":   func(t *testing.T, path string, _ flushed) { must(t, os.Truncate(path, 0)) },
		"shorter": func(t *testing.T, path string, last flushed) { must(t, os.Truncate(path, last.End-1)) },
		"a folder": func(t *testing.T, path string, _ flushed) {
			must(t, errors.Join(os.Remove(path), os.Mkdir(path, 0o755)))
		},
		"zeroed tail": func(t *testing.T, path string, last flushed) { overwrite(t, path, last.Checkpoint, make([]byte, 64)) },
		"a flipped bit in the checkpoint": func(t *testing.T, path string, last flushed) {
			content, err := os.ReadFile(path)
			must(t, err)
			overwrite(t, path, last.Checkpoint+20, []byte{content[last.Checkpoint+20] ^ 4})
		},
		"a length beyond the file": func(t *testing.T, path string, last flushed) {
			overwrite(t, path, last.Checkpoint+4, []byte{0xFF, 0xFF, 0xFF, 0x7F})
		},
		"a flipped bit in the first checkpoint": func(t *testing.T, path string, last flushed) {
			content, err := os.ReadFile(path)
			must(t, err)
			first := int64(bytes.Index(content, []byte(checkpointMagic)))
			overwrite(t, path, first+20, []byte{content[first+20] ^ 4})
		},
	} {
		t.Run(name, func(t *testing.T) {
			driver := newDriver(t, Config{})
			to := target("parquet://a.parquet")
			first := open(t, driver, to, nil)
			write(t, first, ints(0, 10))
			flush(t, first)
			write(t, first, ints(10, 20))
			token := flush(t, first)
			dropped(t, first)
			path := filepath.Join(driver.config.Root, stagingName(to))
			meddle(t, path, first.(*writer).assembler.last)
			var damage *sink.DamageError
			if _, err := driver.Open(t.Context(), to, token); !errors.As(err, &damage) || damage.Path != path {
				t.Errorf("Open: %v", err)
			}
			// The way out: start over.
			to.Attempt = 2
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				must(t, os.Remove(path))
			}
			wantNumbers(t, publish(t, driver, to, ints(0, 5)), 5)
			wantFiles(t, driver, "a_7.parquet")
		})
	}
}

func overwrite(t *testing.T, path string, at int64, with []byte) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = file.WriteAt(with, at)
	must(t, err)
	must(t, file.Close())
}

// FuzzReadCheckpoint: a damaged file gives an error, never a panic, a hang or a
// large allocation.
func FuzzReadCheckpoint(f *testing.F) {
	block, _, err := (&checkpoint{Schema: []byte("s"), Groups: []rowGroup{{Start: 4, Length: 1, Rows: 1}}}).marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte("PAR1x"), block...), int64(5))
	f.Add([]byte("PAR1CWCP\xff\xff\xff\xff"), int64(4))
	f.Fuzz(func(t *testing.T, content []byte, offset int64) {
		end := int64(len(content))
		if offset < 4 || offset >= end {
			return
		}
		c, next, _, err := readCheckpoint(bytes.NewReader(content), offset, end)
		if err == nil && (next > end || next <= offset) {
			t.Fatalf("a checkpoint from %d to %d of %d: %+v", offset, next, end, c)
		}
		_, _, _ = readCheckpoints(bytes.NewReader(content), flushed{End: end, Checkpoint: offset})
	})
}
