package sink_test

import (
	"errors"
	"testing"

	"github.com/casparian-flow/casparian-worker/sink"
)

func TestParseURI(t *testing.T) {
	for _, c := range []struct{ raw, scheme, path string }{
		{"parquet://a/b.parquet", "parquet", "a/b.parquet"},
		{"parquet:///a/b.parquet", "parquet", "/a/b.parquet"},
		{"Parquet://a", "parquet", "a"},
		{"parquet://a%20b/%C3%BC.parquet", "parquet", "a b/ü.parquet"},
		{"parquet://a b", "parquet", "a b"},
		{"parquet://100%/50%zz%2", "parquet", "100%/50%zz%2"},
		{"parquet://%2e%2E/x", "parquet", "../x"},
		{"parquet://a%3Fb%23c", "parquet", "a?b#c"},
		{"parquet://a%00b", "parquet", "a\x00b"},
		{"parquet://a%252e", "parquet", "a%2e"},
		{"parquet://", "parquet", ""},
		{"plain/path", "", "plain/path"},
	} {
		uri, err := sink.ParseURI(c.raw)
		if err != nil {
			t.Errorf("%s: %v", c.raw, err)
			continue
		}
		if uri.Scheme != c.scheme || uri.Path != c.path {
			t.Errorf("%s: scheme %q, path %q", c.raw, uri.Scheme, uri.Path)
		}
	}
}

func TestParseURIRefusesAFragment(t *testing.T) {
	for _, raw := range []string{"parquet://a#b.parquet", "parquet://a?x=1#b"} {
		var path *sink.PathError
		if _, err := sink.ParseURI(raw); !errors.As(err, &path) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestOptions(t *testing.T) {
	choose := func(raw string) (string, error) {
		uri, err := sink.ParseURI(raw)
		if err != nil {
			return "", err
		}
		if err := uri.Only("compression"); err != nil {
			return "", err
		}
		return uri.Choice("compression", "snappy", "snappy", "zstd")
	}
	for raw, want := range map[string]string{
		"parquet://a":                    "snappy",
		"parquet://a?":                   "snappy",
		"parquet://a?compression=zstd":   "zstd",
		"parquet://a?compression=ZSTD":   "zstd",
		"parquet://a?compression=snappy": "snappy",
	} {
		if got, err := choose(raw); err != nil || got != want {
			t.Errorf("%s: %q, %v", raw, got, err)
		}
	}
	for raw, option := range map[string]string{
		"parquet://a?compression=lzo":                   "compression",
		"parquet://a?compression=":                      "compression",
		"parquet://a?compression=zstd&compression=zstd": "compression",
		"parquet://a?level=3":                           "level",
		"parquet://a?compression=zstd&codec=x":          "codec",
		"parquet://a?a;b":                               "a;b",
	} {
		_, err := choose(raw)
		var wrong *sink.OptionError
		if !errors.As(err, &wrong) || wrong.Option != option {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestQuoteIsWhatUnquotingUndoes(t *testing.T) {
	for path, want := range map[string]string{
		"/out/a b.parquet": "/out/a%20b.parquet",
		"/ü/100%?#&+.x":    "/%C3%BC/100%25%3F%23%26%2B.x",
		"/safe_.-~/AZ09":   "/safe_.-~/AZ09",
	} {
		if got := sink.Quote(path); got != want {
			t.Errorf("%q becomes %q, want %q", path, got, want)
		}
		uri, err := sink.ParseURI("parquet://" + want)
		if err != nil || uri.Path != path {
			t.Errorf("%q comes back as %q, %v", want, uri.Path, err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("parquet://a/b.parquet?compression=zstd")
	f.Add("parquet://%2e%2e/%00")
	f.Fuzz(func(t *testing.T, raw string) {
		uri, err := sink.ParseURI(raw)
		if err != nil {
			return
		}
		again, err := sink.ParseURI("x://" + sink.Quote(uri.Path))
		if err != nil || again.Path != uri.Path {
			t.Fatalf("%q: path %q comes back as %q, %v", raw, uri.Path, again.Path, err)
		}
	})
}
