package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

var codecs = []string{"snappy", "zstd"}

// heat is one table with one codec: what each contestant needed.
type heat struct {
	table   string
	codec   string
	results map[string]result
}

// result is the medians of one contestant's encodings.
type result struct {
	cpu, wall float64
	bestWall  float64 // what else the machine does can only add to it
	bytes     int64
	spread    float64 // of CPU: half the distance of the quartiles, to the median
}

// measuredInTurn is how many encodings of a turn are measured, behind one that
// is not: a process that waited for its turn has lost its place in the caches,
// and its processor may have lowered the clock. Who is done soonest would pay
// the most for that, and two workers for two processors.
const measuredInTurn = 3

// run lets all contestants encode all tables. They take turns, so that what else
// the machine does hits all alike. What each encodes before its first turn is
// checked row for row and not measured.
func run(ctx context.Context, p programs, all []table, turns int, folder string, log io.Writer) ([]heat, error) {
	var heats []heat
	for i := range all {
		t := &all[i]
		path := filepath.Join(folder, t.name+".arrow")
		size, err := t.write(path)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(log, "%s: %d rows, %.1f MB of Arrow\n", t.name, t.rows, float64(size)/1e6)
		for _, codec := range codecs {
			h, err := runHeat(ctx, p, t, path, codec, turns)
			if err != nil {
				return nil, fmt.Errorf("table %s, %s: %w", t.name, codec, err)
			}
			for _, name := range p.contestants() {
				r := h.results[name]
				fmt.Fprintf(log, "  %-7s %-15s cpu %.3f s  wall %.3f s  %.2f MB\n", codec, name, r.cpu, r.wall, float64(r.bytes)/1e6)
			}
			heats = append(heats, h)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return heats, nil
}

func runHeat(ctx context.Context, p programs, t *table, path, codec string, turns int) (h heat, err error) {
	var running []*contestant
	defer func() {
		for _, c := range running {
			if stopErr := c.stop(); err == nil {
				err = stopErr
			}
		}
	}()
	for _, name := range p.contestants() {
		c, err := p.start(ctx, name, t, path, codec)
		if err != nil {
			return h, err
		}
		running = append(running, c)
	}
	if err := verify(ctx, p, path, running); err != nil {
		return h, err
	}
	samples := map[string][]sample{}
	for turn := range turns {
		for k := range running {
			// Another one begins each turn: none always comes behind the same.
			c := running[(k+turn)%len(running)]
			for n := range 1 + measuredInTurn {
				s, err := c.encode(encodeQuestion)
				if err != nil {
					return h, err
				}
				if n > 0 {
					samples[c.name] = append(samples[c.name], s)
				}
			}
		}
	}
	h = heat{table: t.name, codec: codec, results: map[string]result{}}
	for name, s := range samples {
		h.results[name] = summary(s)
	}
	return h, nil
}

// verify lets each contestant write a file, and compares it with the table.
func verify(ctx context.Context, p programs, path string, running []*contestant) error {
	arguments := []string{filepath.Join(p.source, "verify.py"), path}
	for i, c := range running {
		file := fmt.Sprintf("%s.%d.parquet", path, i)
		defer os.Remove(file)
		if _, err := c.encode(writeQuestion + file); err != nil {
			return err
		}
		arguments = append(arguments, file)
	}
	out, err := exec.CommandContext(ctx, p.python, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("verify what was written: %w\n%s", err, out)
	}
	return nil
}

func summary(samples []sample) result {
	if len(samples) == 0 {
		panic(errors.New("a contestant without an encoding"))
	}
	sorted := func(of func(s sample) float64) []float64 {
		values := make([]float64, len(samples))
		for i, s := range samples {
			values[i] = of(s)
		}
		slices.Sort(values)
		return values
	}
	cpu := sorted(func(s sample) float64 { return s.cpu })
	wall := sorted(func(s sample) float64 { return s.wall })
	n := len(samples)
	r := result{cpu: median(cpu), wall: median(wall), bestWall: wall[0], bytes: samples[n-1].bytes}
	if r.cpu > 0 {
		r.spread = (cpu[n-1-n/4] - cpu[n/4]) / 2 / r.cpu
	}
	return r
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[n/2] + sorted[(n-1)/2]) / 2
}
