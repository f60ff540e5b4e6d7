package main

import (
	"bufio"
	"embed"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

//go:embed plugins/*.py
var plugins embed.FS

// scenario is a kind of load: so many jobs of a plugin, so many of them at once.
type scenario struct {
	name     string
	about    string
	plugin   string // file in plugins
	rows     int64  // of each job
	jobs     int    // measured
	slow     int    // measured of the reference, where a job takes half a second at least
	inFlight int
	names    int  // plugin names that the jobs take turns with; 0: one
	start    bool // each job goes to a worker that was just started
}

// scenarios are in the order of the report.
var scenarios = []scenario{
	{name: "small", about: "100 rows from pandas, one job at a time", plugin: "small", rows: 100, jobs: 300, slow: 15, inFlight: 1},
	{name: "small x 8", about: "the same, 8 jobs in flight", plugin: "small", rows: 100, jobs: 400, slow: 16, inFlight: 8},
	{name: "ten plugins", about: "the same jobs of ten plugins, 10 in flight", plugin: "small", rows: 100, jobs: 200, slow: 10, inFlight: 10, names: 10},
	{name: "first job", about: "a small job, from the worker's start", plugin: "small", rows: 100, jobs: 3, slow: 3, inFlight: 1, start: true},
	{name: "5M rows", about: "a stream of 5 million rows, 6 mixed columns", plugin: "mixed", rows: 5_000_000, jobs: 3, slow: 1, inFlight: 1},
	{name: "20M rows", about: "a stream of 20 million rows, 6 mixed columns", plugin: "mixed", rows: 20_000_000, jobs: 3, slow: 1, inFlight: 1},
	{name: "CSV", about: "2 million rows of CSV, read by pandas in chunks of 100,000", plugin: "csv", rows: 2_000_000, jobs: 3, slow: 1, inFlight: 1},
	{name: "wide", about: "100,000 rows of 500 columns", plugin: "wide", rows: 100_000, jobs: 3, slow: 1, inFlight: 1},
	{name: "nested", about: "2 million rows of lists of structs and lists of strings", plugin: "nested", rows: 2_000_000, jobs: 3, slow: 1, inFlight: 1},
}

// longScenario is for -long.
var longScenario = scenario{name: "100M rows", about: "a stream of 100 million rows, 6 mixed columns", plugin: "mixed", rows: 100_000_000, jobs: 1, inFlight: 1}

// shrunk is the scenario with so many times fewer rows and jobs, for a test of
// the benchmark itself.
func (s scenario) shrunk(by int) scenario {
	if s.rows > 1000 {
		s.rows = max(1000, s.rows/int64(by))
	}
	s.jobs, s.slow = max(1, s.jobs/by), max(1, s.slow/by)
	return s
}

// looks is how often to look at the memory: seldom where many short jobs come one after
// the other and are alike, since a look takes as long as a part of such a job.
func (s scenario) looks() time.Duration {
	if s.rows <= 1000 && !s.start {
		return time.Second
	}
	return 200 * time.Millisecond
}

// pluginName is the plugin that the nth job is of.
func (s scenario) pluginName(n int) string {
	if s.names == 0 {
		return s.plugin
	}
	return fmt.Sprintf("%s%d", s.plugin, n%s.names)
}

// pluginNames are all of them.
func (s scenario) pluginNames() []string {
	names := make([]string, max(1, s.names))
	for i := range names {
		names[i] = s.pluginName(i)
	}
	return names
}

func (s scenario) source() []byte {
	source, err := plugins.ReadFile("plugins/" + s.plugin + ".py")
	if err != nil {
		panic(err) // a scenario of a plugin that is not there
	}
	return source
}

// input writes the file that the jobs are given.
func (s scenario) input(folder string) (string, error) {
	path := filepath.Join(folder, s.plugin+".input")
	if s.plugin != "csv" {
		return path, os.WriteFile(path, []byte(strconv.FormatInt(s.rows, 10)), 0o600)
	}
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	random := rand.New(rand.NewPCG(1, 2))
	fmt.Fprintln(out, "id,value,small,name,place")
	for i := range s.rows {
		fmt.Fprintf(out, "%d,%.6f,%d,name %d,%016x\n", i, random.Float64(), random.IntN(1000), random.IntN(50), random.Uint64())
	}
	return path, out.Flush()
}
