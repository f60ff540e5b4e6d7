package parquet

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/casparian-flow/casparian-worker/sink"
)

func TestAFileSaysWhereItIsFrom(t *testing.T) {
	driver := newDriver(t, Config{WorkerVersion: "1.2.3"})
	to := target("parquet://a.parquet?compression=gzip")
	to.Generation, to.Attempt = 2, 3
	rows := wantNumbers(t, publish(t, driver, to, ints(0, 10)), 10)
	want := map[string]string{
		"casparian.job_id": "7", "casparian.generation": "2", "casparian.attempt": "3", "casparian.topic": "output",
		"casparian.plugin": "demo", "casparian.file_version_id": "41", "casparian.worker_version": "1.2.3",
	}
	for key, value := range want {
		if rows.Metadata[key] != value {
			t.Errorf("%s is %q, want %q", key, rows.Metadata[key], value)
		}
	}
	if rows.Created != "casparian-worker version 1.2.3" {
		t.Errorf("created by %q", rows.Created)
	}
	for i, codec := range rows.Codecs {
		if codec != "GZIP" {
			t.Errorf("column %d is compressed by %s", i, codec)
		}
	}
	if got := strings.Join(rows.Names, " "); got != "n _job_id _file_version_id" {
		t.Errorf("columns %s", got)
	}
	if rows.Columns["_job_id"][9] != float64(7) || rows.Columns["_file_version_id"][0] != float64(41) {
		t.Errorf("lineage is %v and %v", rows.Columns["_job_id"], rows.Columns["_file_version_id"])
	}
}

func TestLineageColumnsOfThePluginAreDropped(t *testing.T) {
	driver := newDriver(t, Config{})
	path := publish(t, driver, target("parquet://a.parquet"), batchOf(t,
		column{"_job_id", arrow.BinaryTypes.String, `["mine", "own"]`},
		column{"n", arrow.PrimitiveTypes.Int64, `[0, 1]`},
		column{"_file_version_id", arrow.PrimitiveTypes.Float64, `[1, 2]`}))
	rows := wantNumbers(t, path, 2)
	if got := strings.Join(rows.Names, " "); got != "n _job_id _file_version_id" {
		t.Errorf("columns %s", got)
	}
	if rows.Columns["_job_id"][0] != float64(7) {
		t.Errorf("the job id is %v", rows.Columns["_job_id"])
	}
}

func TestNoRowsNoFile(t *testing.T) {
	driver := newDriver(t, Config{})
	for name, batches := range map[string][]arrow.RecordBatch{
		"no batch":      nil,
		"empty batches": {ints(0, 0), batchOf(t, column{"other", arrow.BinaryTypes.String, `[]`})},
	} {
		t.Run(name, func(t *testing.T) {
			to := target("parquet://folder/a.parquet")
			writer := open(t, driver, to, nil)
			write(t, writer, batches...)
			if token := flush(t, writer); len(token) != 0 {
				t.Errorf("flushed %s", token)
			}
			token := seal(t, writer)
			if len(token) != 0 {
				t.Errorf("sealed %s", token)
			}
			if stats := writer.Stats(); stats != (sink.Stats{}) {
				t.Errorf("stats %+v", stats)
			}
			var useless *sink.TokenError
			if _, err := driver.Commit(t.Context(), to, token); !errors.As(err, &useless) {
				t.Errorf("commit of nothing: %v", err)
			}
			wantFiles(t, driver)
		})
	}
}

// TestTheNextGenerationTakesThePlace: a job that runs again has one file, the
// newest, and none of the readers ever finds none.
func TestTheNextGenerationTakesThePlace(t *testing.T) {
	for _, mode := range []sink.Mode{sink.Append, sink.Error, sink.Replace} {
		t.Run(string(mode), func(t *testing.T) {
			driver := newDriver(t, Config{})
			first := target("parquet://a.parquet")
			first.Mode = mode
			path := publish(t, driver, first, ints(0, 5))

			second := first
			second.Generation = 2
			second.Earlier = []string{driver.artifactURI(filepath.Base(path))}
			if err := driver.Check(second); err != nil {
				t.Fatal(err)
			}
			writer := open(t, driver, second, nil)
			write(t, writer, ints(0, 9))
			token := seal(t, writer)
			wantNumbers(t, path, 5) // until the commit, the first one stands
			if again := commit(t, driver, second, token); again != path {
				t.Errorf("published as %s, not %s", again, path)
			}
			wantNumbers(t, path, 9)
			wantFiles(t, driver, filepath.Base(path))
		})
	}
}

func TestJobsStandSideBySide(t *testing.T) {
	driver := newDriver(t, Config{})
	one, two := target("parquet://dir"), target("parquet://dir")
	two.JobID = 8
	publish(t, driver, one, ints(0, 1))
	publish(t, driver, two, ints(0, 2))
	wantFiles(t, driver, "dir/data_7.parquet", "dir/data_8.parquet")
}

func TestModeReplaceKeepsTheNewest(t *testing.T) {
	driver := newDriver(t, Config{})
	one, two := target("parquet://a.parquet"), target("parquet://a.parquet")
	one.Mode, two.Mode, two.JobID = sink.Replace, sink.Replace, 8

	writer := open(t, driver, one, nil)
	write(t, writer, ints(0, 3))
	token := seal(t, writer)
	commit(t, driver, one, token)
	path := publish(t, driver, two, ints(0, 4))

	// Job 7's Commit is repeated after a crash, when job 8 has taken the place.
	if again := commit(t, driver, one, token); again != path {
		t.Errorf("published as %s, not %s", again, path)
	}
	wantNumbers(t, path, 4)
	wantFiles(t, driver, "a.parquet")
}

func TestModeErrorRefusesATakenName(t *testing.T) {
	driver := newDriver(t, Config{})
	to := target("parquet://a.parquet")
	to.Mode = sink.Error
	final := filepath.Join(driver.config.Root, "a_7.parquet")

	// Taken before the job: Check and Open say so.
	if err := os.MkdirAll(driver.config.Root, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(final, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	var exists *sink.ExistsError
	if err := driver.Check(to); !errors.As(err, &exists) || exists.Path != final {
		t.Errorf("Check: %v", err)
	}
	if _, err := driver.Open(t.Context(), to, nil); !errors.As(err, &exists) {
		t.Errorf("Open: %v", err)
	}

	// Taken while the job runs: Commit says so, and the staged file stays.
	if err := os.Remove(final); err != nil {
		t.Fatal(err)
	}
	writer := open(t, driver, to, nil)
	write(t, writer, ints(0, 3))
	token := seal(t, writer)
	if err := os.WriteFile(final, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := driver.Commit(t.Context(), to, token); !errors.As(err, &exists) {
			t.Errorf("Commit: %v", err)
		}
	}
	if content, err := os.ReadFile(final); err != nil || string(content) != "theirs" {
		t.Errorf("the other file holds %q, %v", content, err)
	}
	wantFiles(t, driver, stagingName(to), "a_7.parquet")

	// Out of the way: the same token commits, as often as it is asked to.
	if err := os.Remove(final); err != nil {
		t.Fatal(err)
	}
	commit(t, driver, to, token)
	wantNumbers(t, commit(t, driver, to, token), 3)
	wantFiles(t, driver, "a_7.parquet")
}

// TestModeErrorBetweenLinkAndRemoval: where publishing is a link and a removal,
// a crash in between leaves two names of one file.
func TestModeErrorBetweenLinkAndRemoval(t *testing.T) {
	driver := newDriver(t, Config{})
	to := target("parquet://a.parquet")
	to.Mode = sink.Error
	writer := open(t, driver, to, nil)
	write(t, writer, ints(0, 3))
	token := seal(t, writer)
	root := driver.config.Root
	if err := os.Link(filepath.Join(root, stagingName(to)), filepath.Join(root, "a_7.parquet")); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, commit(t, driver, to, token), 3)
	wantFiles(t, driver, "a_7.parquet")
}

func TestLinkNewNeverTakesAPlace(t *testing.T) {
	driver := newDriver(t, Config{})
	publish(t, driver, target("parquet://a.parquet"), ints(0, 3))
	root, err := driver.openRoot(false)
	if err != nil {
		t.Fatal(err)
	}
	defer root.close()
	if err := os.WriteFile(root.absolute("staged"), []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := root.linkNew("staged", "a_7.parquet"); !errors.Is(err, os.ErrExist) {
		t.Errorf("link over a file: %v", err)
	}
	if err := root.linkNew("staged", "b.parquet"); err != nil {
		t.Error(err)
	}
	wantFiles(t, driver, "a_7.parquet", "b.parquet")
}

// TestCommitAgainInAnotherProcess: the token is all that a restarted worker has.
func TestCommitAgainInAnotherProcess(t *testing.T) {
	for _, mode := range []sink.Mode{sink.Append, sink.Error, sink.Replace} {
		t.Run(string(mode), func(t *testing.T) {
			driver := newDriver(t, Config{})
			to := target("parquet://deep/er/a.parquet")
			to.Mode = mode
			writer := open(t, driver, to, nil)
			write(t, writer, ints(0, 30))
			token := seal(t, writer)
			for range 3 {
				fresh := newDriver(t, Config{Root: driver.config.Root})
				wantNumbers(t, commit(t, fresh, to, roundTrip(t, token)), 30)
			}
			if got := files(t, driver); len(got) != 1 {
				t.Errorf("the output root holds %q", got)
			}
		})
	}
}

// roundTrip is what a journal does with a token.
func roundTrip(t *testing.T, token sink.Token) sink.Token {
	t.Helper()
	record, err := json.Marshal(struct{ Token json.RawMessage }{token})
	if err != nil {
		t.Fatal(err)
	}
	var back struct{ Token json.RawMessage }
	if err := json.Unmarshal(record, &back); err != nil {
		t.Fatal(err)
	}
	return back.Token
}

// TestCommitTellsLossFromSuccess: what is neither staged nor published is an
// error, never a receipt for a file that is not there.
func TestCommitTellsLossFromSuccess(t *testing.T) {
	for _, c := range []struct {
		name    string
		mode    sink.Mode
		meddle  func(t *testing.T, d *Driver, staging, final string)
		damaged bool
	}{
		{name: "the staged file was removed", meddle: func(t *testing.T, _ *Driver, staging, _ string) {
			must(t, os.Remove(staging))
		}},
		{name: "removed, and an earlier generation's file is there", meddle: func(t *testing.T, d *Driver, staging, final string) {
			must(t, os.Remove(staging))
			publish(t, d, target("parquet://a.parquet"), ints(0, 2))
		}},
		{name: "removed in mode replace, and this job's older file is there", mode: sink.Replace, meddle: func(t *testing.T, d *Driver, staging, final string) {
			must(t, os.Remove(staging))
			to := target("parquet://a.parquet")
			to.Mode = sink.Replace
			publish(t, d, to, ints(0, 2))
		}},
		{name: "removed in mode replace, and a stranger's file is there", mode: sink.Replace, meddle: func(t *testing.T, _ *Driver, staging, final string) {
			must(t, errors.Join(os.Remove(staging), os.WriteFile(final, []byte("not Parquet at all"), 0o644)))
		}},
		{name: "the output root is gone", meddle: func(t *testing.T, d *Driver, _, _ string) {
			must(t, os.RemoveAll(d.config.Root))
		}},
		{name: "cut short", damaged: true, meddle: func(t *testing.T, _ *Driver, staging, _ string) {
			must(t, os.Truncate(staging, 100))
		}},
		{name: "grown", damaged: true, meddle: func(t *testing.T, _ *Driver, staging, _ string) {
			appendTo(t, staging, []byte("more"))
		}},
		{name: "another footer", damaged: true, meddle: func(t *testing.T, _ *Driver, staging, _ string) {
			content, err := os.ReadFile(staging)
			must(t, err)
			content[len(content)-20] ^= 1
			must(t, os.WriteFile(staging, content, 0o644))
		}},
		{name: "a folder in its place", damaged: true, meddle: func(t *testing.T, _ *Driver, staging, _ string) {
			must(t, errors.Join(os.Remove(staging), os.Mkdir(staging, 0o755)))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			driver := newDriver(t, Config{})
			to := target("parquet://a.parquet")
			to.Generation = 2
			if c.mode != "" {
				to.Mode = c.mode
			}
			writer := open(t, driver, to, nil)
			write(t, writer, ints(0, 3))
			token := seal(t, writer)
			loc, err := driver.locate(to)
			must(t, err)
			c.meddle(t, driver, filepath.Join(driver.config.Root, loc.staging), filepath.Join(driver.config.Root, loc.final))
			_, err = driver.Commit(t.Context(), to, token)
			var lost *sink.LostError
			var damage *sink.DamageError
			if c.damaged && !errors.As(err, &damage) || !c.damaged && !errors.As(err, &lost) {
				t.Errorf("Commit: %v", err)
			}
		})
	}
}

func TestTokensOfOthersAreRefused(t *testing.T) {
	driver := newDriver(t, Config{})
	to := target("parquet://a.parquet")
	writer := open(t, driver, to, nil)
	write(t, writer, ints(0, 3))
	flushedToken := flush(t, writer)
	sealedToken := seal(t, writer)
	change := func(token sink.Token, old, new string) sink.Token {
		changed := strings.Replace(string(token), old, new, 1)
		if changed == string(token) {
			t.Fatalf("%s has no %s", token, old)
		}
		return sink.Token(changed)
	}
	other := to
	other.JobID = 8
	elsewhere := to
	elsewhere.URI = "parquet://b.parquet"
	var refused *sink.TokenError
	for name, c := range map[string]struct {
		to    sink.Target
		token sink.Token
	}{
		"of Flush":            {to, flushedToken},
		"of another job":      {other, sealedToken},
		"of another output":   {elsewhere, sealedToken},
		"out of the root":     {to, change(sealedToken, `"staging":"`, `"staging":"../`)},
		"for another name":    {to, change(sealedToken, `"final":"a_7`, `"final":"b_7`)},
		"of a later version":  {to, change(sealedToken, sealedKind, "parquet-sealed/2")},
		"with absurd sizes":   {to, change(sealedToken, `"footer_length":`, `"footer_length":9`)},
		"that is not JSON":    {to, sink.Token("{")},
		"that is another one": {to, sink.Token("[1]")},
		"null":                {to, sink.Token("null")},
	} {
		if _, err := driver.Commit(t.Context(), c.to, c.token); !errors.As(err, &refused) {
			t.Errorf("Commit with a token %s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		to    sink.Target
		token sink.Token
	}{
		"of Seal":             {to, sealedToken},
		"of another job":      {other, flushedToken},
		"of another output":   {elsewhere, flushedToken},
		"out of the root":     {to, change(flushedToken, `"staging":"`, `"staging":"/`)},
		"with a negative end": {to, change(flushedToken, `"end":`, `"end":-`)},
		"that is not JSON":    {to, sink.Token("nope")},
	} {
		if _, err := driver.Open(t.Context(), c.to, c.token); !errors.As(err, &refused) {
			t.Errorf("Open with a token %s: %v", name, err)
		}
	}
	wantNumbers(t, commit(t, driver, to, sealedToken), 3) // none of it did harm
}

func TestAbandonRemovesWhatIsStagedAndNothingElse(t *testing.T) {
	driver := newDriver(t, Config{})
	stage := func(change func(*sink.Target)) string {
		to := target("parquet://dir/a.parquet")
		change(&to)
		writer := open(t, driver, to, nil)
		write(t, writer, ints(0, 3))
		flush(t, writer)
		must(t, writer.Close())
		return "dir/" + stagingName(to)
	}
	published := target("parquet://dir/a.parquet")
	published.JobID = 6
	publish(t, driver, published, ints(0, 1))
	stage(func(*sink.Target) {})
	otherJob := stage(func(to *sink.Target) { to.JobID = 8 })
	otherTopic := stage(func(to *sink.Target) { to.Topic = "second" })

	// A later attempt begins afresh, and clears away the one before.
	second := target("parquet://dir/a.parquet")
	second.Attempt = 2
	writer := open(t, driver, second, nil)
	wantSet(t, driver, "dir/a_6.parquet", otherJob, otherTopic)
	write(t, writer, ints(0, 3))
	flush(t, writer)
	must(t, writer.Close())

	// So does a later generation.
	third := target("parquet://dir/a.parquet")
	third.Generation = 2
	writer = open(t, driver, third, nil)
	wantSet(t, driver, "dir/a_6.parquet", otherJob, otherTopic)
	write(t, writer, ints(0, 3))
	seal(t, writer)
	for range 2 {
		must(t, driver.Abandon(t.Context(), third))
		wantSet(t, driver, "dir/a_6.parquet", otherJob, otherTopic)
	}
	must(t, newDriver(t, Config{}).Abandon(t.Context(), third)) // no root at all
}

func TestRetract(t *testing.T) {
	driver := newDriver(t, Config{})
	path := publish(t, driver, target("parquet://dir/a b.parquet"), ints(0, 3))
	publish(t, driver, target("parquet://dir/c.parquet"), ints(0, 3))
	must(t, driver.Retract(t.Context(), driver.artifactURI(filepath.Join("dir", filepath.Base(path)))))
	wantFiles(t, driver, "dir/c_7.parquet")
	must(t, driver.Retract(t.Context(), driver.artifactURI(filepath.Join("dir", filepath.Base(path)))))
	must(t, driver.Retract(t.Context(), driver.artifactURI(filepath.Join("gone", "x.parquet"))))
	must(t, newDriver(t, Config{Root: filepath.Join(t.TempDir(), "none")}).Check(target("parquet://a.parquet")))

	outside := filepath.Join(t.TempDir(), "victim.parquet")
	must(t, os.WriteFile(outside, []byte("x"), 0o644))
	root := "parquet://" + sink.Quote(filepath.ToSlash(driver.config.Root))
	for _, uri := range []string{
		"parquet://" + sink.Quote(filepath.ToSlash(outside)),
		root + "/../victim.parquet", root + "/%2e%2e/victim.parquet", root + "2/a.parquet", root, root + "/", root + "/dir",
		"parquet://dir/c_7.parquet", root + "/a%00b",
	} {
		var refused *sink.PathError
		if err := driver.Retract(t.Context(), uri); !errors.As(err, &refused) {
			t.Errorf("Retract(%s): %v", uri, err)
		}
	}
	var scheme *sink.UnknownSchemeError
	if err := driver.Retract(t.Context(), "file:///x"); !errors.As(err, &scheme) {
		t.Errorf("Retract of another scheme: %v", err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
	wantFiles(t, driver, "dir/c_7.parquet")
}

// TestOddColumns: names are the plugin's own affair, and a frame may have rows
// and no columns.
func TestOddColumns(t *testing.T) {
	driver := newDriver(t, Config{})
	rows := read(t, publish(t, driver, target("parquet://a.parquet"), batchOf(t,
		column{"a.b", i64, `[1, 2]`},
		column{"a", structOf("b", text), `[{"b":"x"}, null]`},
		column{"größe 🎈", text, `["y", "z"]`},
		column{"", i64, `[3, 4]`},
		column{"__index_level_0__", i64, `[0, 1]`})))
	if got := strings.Join(rows.Names, "|"); got != "a.b|a|größe 🎈||__index_level_0__|_job_id|_file_version_id" {
		t.Errorf("columns %s", got)
	}
	if got := rows.Columns["a.b"]; len(got) != 2 || got[1] != 2.0 {
		t.Errorf("a.b is %v", got)
	}
	none := array.NewRecordBatch(arrow.NewSchema(nil, nil), nil, 5)
	rows = read(t, publish(t, driver, target("parquet://b.parquet"), none, none))
	if got := rows.Columns["_job_id"]; len(got) != 10 {
		t.Errorf("%d rows without columns, want 10", len(got))
	}
}
