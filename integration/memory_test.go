//go:build unix

package integration

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/harness"
)

// Bar: 20 million rows of six mixed columns through one job, in less than 150 MB
// of resident memory at the peak, and no more than 5 million rows need.
func TestMemoryStaysFlat(t *testing.T) {
	t.Parallel()
	const limit = 150 << 20
	// The longer stream carries 390 MB more: to keep one tenth of it would show. What is
	// below that is the garbage that happens to lie around; it has four times as long to
	// be unlucky in.
	const noise = 39 << 20

	// Garbage only adds, and does so by chance: of up to three runs the least counts.
	const runs = 3

	peaks := map[int64]int64{}
	for run := range runs {
		for _, rows := range []int64{5_000_000, 20_000_000} {
			s := beginWith(t, false, harness.Options{Plugins: []string{"mixed"}, Plain: true})
			receipt := s.run(s.job(1, "mixed", wish{"rows": rows}))
			s.succeeded(receipt, rows)
			peak := harness.PeakMemory(t, s.worker.PID())
			t.Logf("%d rows: peak %d MB in %d ms, metrics %v", rows, peak>>20, receipt.Metrics["duration_ms"], receipt.Metrics)
			if peak >= limit {
				t.Errorf("%d rows took %d MB of resident memory, the limit is %d MB", rows, peak>>20, limit>>20)
			}
			s.exact(filepath.Join(s.site.Output, "out/mixed_1.parquet"), rows)
			if run == 0 || peak < peaks[rows] {
				peaks[rows] = peak
			}
		}
		if peaks[20_000_000] <= peaks[5_000_000]+noise {
			return
		}
	}
	t.Errorf("20 million rows took %d MB, 5 million %d MB: memory grows with the rows", peaks[20_000_000]>>20, peaks[5_000_000]>>20)
}

// exact reads a file of the mixed plugin in duckdb. Ids count from 0 in the order
// of the file, times follow the ids, and the other columns repeat every 65,536 rows.
func (s *story) exact(file string, rows int64) {
	s.Helper()
	program := `
import duckdb, json, sys
db = duckdb.connect()
db.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false; SET threads = 1; SET memory_limit = '2GB'")
source = f"read_parquet('{sys.argv[1]}', file_row_number = true)"
count, total, odd = db.execute(f"""
    SELECT count(*), sum(id)::BIGINT,
           count(*) FILTER (id <> file_row_number OR epoch_us("at") <> id * 1000000 OR _job_id <> 1 OR _file_version_id <> 1001)
    FROM {source}""").fetchone()
torn = db.execute(f"""
    SELECT count(*) FROM (
        SELECT id % 65536 AS place FROM {source} GROUP BY place
        HAVING min(value) <> max(value) OR min(small) <> max(small) OR min(low) <> max(low) OR min(high) <> max(high)
            OR count(value) <> count(*) OR count(high) <> count(*))""").fetchone()[0]
print(json.dumps({"count": count, "total": total, "odd": odd, "torn": torn}))
`
	var got struct{ Count, Total, Odd, Torn int64 }
	output := harness.Python(s, nil, "-c", program, file)
	if err := json.Unmarshal(output, &got); err != nil {
		s.Fatalf("%s: %v", output, err)
	}
	if want := rows * (rows - 1) / 2; got.Count != rows || got.Total != want || got.Odd != 0 || got.Torn != 0 {
		s.Errorf("%s: %s", file, fmt.Sprintf("%+v, want %d rows with ids that sum to %d", got, rows, want))
	}
}

// The same stream, short enough to compare value by value.
func TestMixedColumnsAreExact(t *testing.T) {
	t.Parallel()
	s := begin(t, "mixed")
	job := s.job(1, "mixed", wish{"rows": 100_000})
	s.succeeded(s.run(job), 100_000)
	s.holds(job, "output", "out/mixed_1.parquet")
	s.exact(filepath.Join(s.site.Output, "out/mixed_1.parquet"), 100_000)
}
