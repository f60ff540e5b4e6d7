package bridge

import (
	"slices"
	"strings"
	"testing"
)

// handler wraps the body of consume into a plugin, with the imports it needs.
func handler(body string) string {
	imports := "import pyarrow as pa\n"
	if strings.Contains(body, "pd.") {
		imports += "import pandas as pd\n"
	}
	lines := strings.Split(strings.TrimSpace(body), "\n")
	return imports + "class Handler:\n    def consume(self, event):\n        " + strings.Join(lines, "\n        ") + "\n"
}

// Everything that a plugin may yield or return, as the rows that arrive.
func TestResultsOfEveryKindArrive(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       []string // cells
	}{
		{"generator of DataFrames", "yield pd.DataFrame({'a': [1]})\nyield pd.DataFrame({'a': [2]})", []string{"a=[1]", "a=[2]"}},
		{"list of DataFrames", "return [pd.DataFrame({'a': [1]}), pd.DataFrame({'a': [2]})]", []string{"a=[1]", "a=[2]"}},
		{"bare DataFrame", "return pd.DataFrame({'a': [1, 2]})", []string{"a=[1 2]"}},
		{"bare Series", "return pd.Series([1, 2], name='s')", []string{"s=[1 2]"}},
		{"labelled index", "return pd.DataFrame({'a': [1, 2]}, index=['x', 'y'])", []string{"a=[1 2]", `__index_level_0__=["x" "y"]`}},
		{"named index", "return pd.DataFrame({'a': [1]}, index=pd.Index([7], name='key'))", []string{"a=[1]", "key=[7]"}},
		{"pyarrow Table", "return pa.table({'a': [1, 2]})", []string{"a=[1 2]"}},
		{"pyarrow RecordBatch", "yield pa.record_batch({'a': [1, 2]})", []string{"a=[1 2]"}},
		{"RecordBatchReader", "return pa.table({'a': [1, 2]}).to_reader(max_chunksize=1)", []string{"a=[1]", "a=[2]"}},
		{"dataset", "import pyarrow.dataset as ds\nreturn ds.dataset(pa.table({'a': [1, 2]}))", []string{"a=[1 2]"}},
		{"scanner", "import pyarrow.dataset as ds\nreturn ds.dataset(pa.table({'a': [1, 2]})).scanner(filter=ds.field('a') > 1)", []string{"a=[2]"}},
		{"polars DataFrame", "import polars as pl\nreturn pl.DataFrame({'a': [1, 2], 's': ['x', None]})", []string{"a=[1 2]", `s=["x" (null)]`}},
		{"polars LazyFrame", "import polars as pl\nyield pl.LazyFrame({'a': [1, 2]}).filter(pl.col('a') > 1)", []string{"a=[2]"}},
		{"polars Series", "import polars as pl\nyield pl.Series('s', [1, 2])", []string{"s=[1 2]"}},
		{"duckdb relation", "import duckdb\nyield duckdb.sql('select 42 as a')", []string{"a=[42]"}},
		{"dict of columns", "return {'a': [1, 2], 'b': ('x', 'y'), 'c': range(2)}", []string{"a=[1 2]", `b=["x" "y"]`, "c=[0 1]"}},
		{"list of dicts with missing keys", "return [{'a': 1}, {'b': 'x'}, None, {'a': 3, 'b': None}]", []string{"a=[1 (null) 3]", `b=[(null) "x" (null)]`}},
		{"generator of everything", "yield None\nyield {'a': [1]}\nyield [{'a': 2}]\nyield pa.table({'a': [3]})\nyield [pd.DataFrame({'a': [4]}), None]", []string{"a=[1]", "a=[2]", "a=[3]", "a=[4]"}},
		{"another iterable", "return map(lambda n: {'a': [n]}, [1, 2])", []string{"a=[1]", "a=[2]"}},
		{"nothing at all", "pass", nil},
		{"None", "return None", nil},
		{"empty list", "return []", nil},
		{"frames without rows", "yield pd.DataFrame()\nyield pd.DataFrame({'a': []})\nyield pa.table({'a': pa.array([], pa.int64())})", nil},
		{"chunked table", "return pa.concat_tables([pa.table({'a': [1]}), pa.table({'a': [2]})])", []string{"a=[1 2]"}},
		{"sliced table", "return pa.table({'a': [1, 2, 3], 's': ['x', 'y', 'z']}).slice(1, 1)", []string{"a=[2]", `s=["y"]`}},
		{"string views", "return pa.table({'s': pa.array(['a long string, longer than inline', 'b'], pa.string_view())})", []string{`s=["a long string, longer than inline" "b"]`}},
		{"chunks with other dictionaries", "d = lambda *v: pa.table({'c': pa.array(v).dictionary_encode()})\nreturn pa.concat_tables([d('x', 'y'), d('z', 'x')])", []string{
			"c={ dictionary: [\"x\" \"y\" \"z\"]\n  indices: [0 1 2 0] }"}},
	}
	h := newHost(t, Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := collect(t, start(t, h, Spec{Source: []byte(handler(test.body))})).mustSucceed(t)
			if !slices.Equal(o.cells, test.want) {
				t.Errorf("got  %q\nwant %q", o.cells, test.want)
			}
		})
	}
}

// What cannot become a table is refused in words that a plugin's author
// understands.
func TestResultsThatAreNoFramesAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body, kind string
		message          []string
	}{
		{"a number", "return 42", "TypeError", []string{"int: 42", "DataFrame"}},
		{"a string", "yield 'rows'", "TypeError", []string{"str: 'rows'"}},
		{"an array", "import numpy\nyield numpy.zeros(3)", "TypeError", []string{"ndarray"}},
		{"one row as a dict", "yield {'a': 1, 'b': 'x'}", "TypeError", []string{"column 'a'", "a list with one dict"}},
		{"columns of different lengths", "yield {'a': [1], 'b': [1, 2]}", "ValueError", []string{"cannot turn this dict into a table"}},
		{"a column of mixed types", "yield pd.DataFrame({'mixed': [1, 'x']})", "ValueError", []string{"DataFrame", "mixed"}},
		{"rows without columns", "yield pd.DataFrame(index=range(3))", "ValueError", []string{"3 rows without columns"}},
		{"a coroutine", "async def later(): pass\nreturn later()", "TypeError", []string{"async plugins are not supported"}},
	}
	h := newHost(t, Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := collect(t, start(t, h, Spec{Source: []byte(handler(test.body))}))
			raised := o.mustRaise(t)
			if raised.Type != test.kind {
				t.Errorf("type %s, want %s: %s", raised.Type, test.kind, raised.Message)
			}
			mustContain(t, raised.Message, test.message...)
		})
	}
}

// How a plugin is found, constructed and called.
func TestHandlersAreCalledAsTheContractSays(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, source string
		want         []string // cells, when it succeeds
		fails        string   // part of the message, when it raises
	}{
		{name: "event has path and file id", source: `
class Handler:
    def consume(self, event):
        return [{"path": event.path, "id": event.file_id, "kind": event.event_type}]`,
			want: []string{`path=["/data/größe.csv"]`, "id=[-7]", `kind=["file_found"]`}},
		{name: "execute alone", source: `
class Handler:
    def execute(self, path):
        return [{"path": path}]`, want: []string{`path=["/data/größe.csv"]`}},
		{name: "consume not implemented falls back to execute", source: `
class Handler:
    def consume(self, event): raise NotImplementedError
    def execute(self, path): yield {"a": [1]}`, want: []string{"a=[1]"}},
		{name: "a generator that begins by not being implemented falls back", source: `
class Handler:
    def consume(self, event):
        raise NotImplementedError
        yield
    def execute(self, path): yield {"a": [1]}`, want: []string{"a=[1]"}},
		{name: "not implemented in the middle is an error", source: `
class Handler:
    def consume(self, event):
        yield {"a": [1]}
        raise NotImplementedError("later")
    def execute(self, path): yield {"a": [2]}`, fails: "later"},
		{name: "configure gets a context and a config", source: `
class Handler:
    def configure(self, context, config):
        self.topic = context.register_topic("t")
        self.context, self.config = context, config
    def consume(self, event):
        self.context.publish(self.topic, [{"config": str(self.config)}])`, want: []string{`config=["{}"]`}},
		{name: "the sdk stand-in", source: `
from casparian_flow.sdk import BasePlugin, PluginMetadata, FileEvent
MANIFEST = PluginMetadata(pattern="*.csv", topic="t", subscriptions=["x"])
class Handler(BasePlugin):
    def consume(self, event):
        assert isinstance(event, FileEvent) and event.metadata == {} and self.config == {}
        assert (MANIFEST.priority, MANIFEST.version, MANIFEST.sinks, MANIFEST.description) == (50, "1.0.0", {}, None)
        self.publish("t", [{"a": 1}])
        self.publish("t", [{"a": 2}])`, want: []string{"a=[1]", "a=[2]"}},
		{name: "a BasePlugin under another name", source: `
import casparian_flow.sdk as sdk
class Reader(sdk.BasePlugin):
    def consume(self, event): return [{"a": 1}]`, want: []string{"a=[1]"}},
		{name: "a BasePlugin that overrides execute", source: `
from casparian_flow.sdk import BasePlugin
class Handler(BasePlugin):
    def execute(self, file_path): return [{"path": file_path}]`, want: []string{`path=["/data/größe.csv"]`}},
		{name: "a BasePlugin that implements nothing", source: `
from casparian_flow.sdk import BasePlugin
class Handler(BasePlugin): pass`, fails: "neither consume(event) nor execute(path)"},
		{name: "no Handler", source: "x = 1", fails: "no class named Handler"},
		{name: "Handler is a function", source: "def Handler(): pass", fails: "not a class"},
		{name: "Handler without methods", source: "class Handler: pass", fails: "neither consume(event) nor execute(path)"},
		{name: "Handler with arguments", source: "class Handler:\n    def __init__(self, x): pass", fails: "missing 1 required positional argument"},
		{name: "the namespace", source: `
import sys, dataclasses, pickle
MANIFEST = {"anything": object()}
@dataclasses.dataclass
class Row:
    a: "int"
class Handler:
    def consume(self, event):
        assert __name__ == "__bridge_plugin__"
        assert pickle.loads(pickle.dumps(Row(1))) == Row(1)
        assert not [p for p in sys.path if "shim-" in p], sys.path
        yield [dataclasses.asdict(Row(5))]`, want: []string{"a=[5]"}},
		{name: "the way to the host is hidden", source: `
import os
class Handler:
    def consume(self, event):
        left = sorted(name for name in os.environ if name.startswith("BRIDGE_"))
        yield [{"left": ",".join(left), "marked": "CASPARIAN_GUEST" in os.environ}]`, want: []string{`left=[""]`, "marked=[true]"}},
		{name: "modules called like the shim's", source: `
import importlib.util
class Handler:
    def consume(self, event):
        yield [{n: importlib.util.find_spec(n) is None for n in ("wire", "frames", "shim", "session")}]`,
			want: []string{"wire=[true]", "frames=[true]", "shim=[true]", "session=[true]"}},
		{name: "threads may publish", source: `
from concurrent.futures import ThreadPoolExecutor
class Handler:
    def configure(self, context, config): self.context = context
    def consume(self, event):
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda n: self.context.publish("t", {"a": [7]}), range(3)))`, want: []string{"a=[7]", "a=[7]", "a=[7]"}},
		{name: "forked children may not publish", source: `
import os
class Handler:
    def configure(self, context, config): self.context = context
    def consume(self, event):
        pid = os.fork()
        if pid == 0:
            try:
                self.context.publish("t", {"a": [1]})
            except RuntimeError as error:
                os._exit(42 if "forked" in str(error) else 1)
            os._exit(2)
        yield [{"child": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}]`, want: []string{"child=[42]"}},
		{name: "source in another encoding", source: "# -*- coding: latin-1 -*-\nclass Handler:\n    def consume(self, event): return [{'a': '\xe9'}]", want: []string{`a=["é"]`}},
	}
	h := newHost(t, Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := collect(t, start(t, h, Spec{
				Source: []byte(test.source), FilePath: "/data/größe.csv", FileVersionID: -7,
			}))
			if test.fails != "" {
				mustContain(t, o.mustRaise(t).Error(), test.fails)
				return
			}
			if o.mustSucceed(t); !slices.Equal(o.cells, test.want) {
				t.Errorf("got  %q\nwant %q", o.cells, test.want)
			}
		})
	}
}

func TestTopicsReachTheHost(t *testing.T) {
	t.Parallel()
	o := runPlugin(t, `
class Handler:
    def configure(self, context, config):
        self.context = context
        self.a = context.register_topic("a")
        self.b = context.register_topic("b", default_uri="parquet://b.parquet")
        assert context.register_topic("a") is self.a
    def consume(self, event):
        self.context.publish(self.a, {"n": [1]})
        yield {"n": [2]}
        self.context.publish(self.b, {"n": [3]})
        self.context.publish("späť", [{"n": 4}])
        self.context.publish(self.a, (frame for frame in [{"n": [5]}, None, {"n": [6]}]))
        for wrong in (None, 7, ""):
            try:
                self.context.publish(wrong, {"n": [0]})
            except (TypeError, ValueError):
                pass
            else:
                raise AssertionError(wrong)
        self.context.progress("nearly   there")
        self.context.log("a line of its own")
`).mustSucceed(t)
	if want := []string{"a", "", "b", "späť", "a", "a"}; !slices.Equal(o.topics, want) {
		t.Errorf("topics %q, want %q", o.topics, want)
	}
	if want := []string{"", "", "parquet://b.parquet", "", "", ""}; !slices.Equal(o.uris, want) {
		t.Errorf("default URIs %q, want %q", o.uris, want)
	}
	if want := []string{"n=[1]", "n=[2]", "n=[3]", "n=[4]", "n=[5]", "n=[6]"}; !slices.Equal(o.cells, want) {
		t.Errorf("rows %q, want %q", o.cells, want)
	}
	if p := o.guest.Progress(); p.Batches != 6 || p.Rows != 6 || p.Bytes == 0 || p.Note != "nearly there" {
		t.Errorf("progress %+v", p)
	}
	mustContain(t, o.guest.Output(), "a line of its own\n")
}
