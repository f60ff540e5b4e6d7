//go:build linux

package bridge

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// warmly is a host whose guests are warm.
func warmly(t testing.TB, warm Warm) *Host {
	t.Helper()
	if warm.Interpreters == 0 {
		warm.Interpreters = 1
	}
	return newHost(t, Options{Warm: warm})
}

// onlyWarm gives the one warm interpreter, which must be ready.
func onlyWarm(t testing.TB, h *Host) WarmStatus {
	t.Helper()
	all := h.Warm()
	if len(all) != 1 || all[0].State != "ready" {
		t.Fatalf("warm interpreters: %v", all)
	}
	return all[0]
}

// looksAround prints everything that one job could have left for the next.
const looksAround = `
import builtins, json, logging, os, random, signal, sys, tempfile, threading, uuid, warnings
import multiprocessing.process, numpy
class Handler:
    def consume(self, event):
        mask = os.umask(0); os.umask(mask)
        fds = {}
        for fd in os.listdir("/proc/self/fd"):
            try: fds[fd] = os.readlink("/proc/self/fd/" + fd).split(":")[0]
            except OSError: pass
        print(json.dumps({
            "same": {
                "argv": sys.argv[1:], "main": sys.modules["__main__"].__file__, "path": sys.path,
                "environment": {k: v for k, v in os.environ.items() if k != "CASPARIAN_GUEST"},
                "folder": os.getcwd(), "umask": mask,
                "signals": {int(s): repr(signal.getsignal(s)) for s in signal.valid_signals()},
                "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
                "files": fds, "threads": [t.name for t in threading.enumerate()],
                "loggers": [repr(h) for h in logging.getLogger().handlers], "level": logging.getLogger().level,
                "warnings": [repr(f) for f in warnings.filters], "builtins": hasattr(builtins, "spoiled"),
                "json": hasattr(json, "spoiled"), "module": "spoiled" in sys.modules, "hash": hash("casparian"),
                "recursion": sys.getrecursionlimit(), "stdout": type(sys.stdout).__name__, "hook": repr(sys.excepthook),
                "tempdir": tempfile.tempdir, "session": [os.getsid(0) == os.getpid(), os.getpgrp() == os.getpid()],
            },
            "fresh": {
                "random": random.random(), "numpy": float(numpy.random.random()), "uuid": str(uuid.uuid4()),
                "uuid1": str(uuid.uuid1()), "temporary": tempfile.mktemp(), "pid": os.getpid(),
                "key": bytes(multiprocessing.process.current_process().authkey).hex(),
            },
            "marker": os.environ["CASPARIAN_GUEST"],
        }))
`

// spoils changes all of that.
const spoils = `
import builtins, json, logging, os, random, signal, sys, tempfile, threading, time, types, warnings, atexit
import numpy, pandas
random.seed(1); numpy.random.seed(1)
os.environ["SPOILED"] = "yes"; os.environ["PATH"] = "/nowhere"; del os.environ["HOME"]
builtins.spoiled = json.spoiled = numpy.spoiled = True
sys.modules["spoiled"] = types.ModuleType("spoiled"); del sys.modules["uuid"]
sys.path.insert(0, "/spoiled"); sys.argv.append("spoiled"); sys.setrecursionlimit(5000); sys.excepthook = print
logging.basicConfig(filename="spoiled.log", level=1); warnings.simplefilter("error")
tempfile.tempdir = os.getcwd(); tempfile._name_sequence = iter(["spoiled"] * 100)
os.umask(0o077); os.chdir("/")
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
left_open = [open("/dev/zero") for _ in range(20)]; os.set_inheritable(left_open[0].fileno(), True)
pandas.DataFrame.to_dict = None
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
os.dup2(left_open[0].fileno(), 0)
atexit.register(lambda: os.close(1))
class Handler:
    def consume(self, event):
        sys.stdout = open("/dev/null", "w")
        return {"a": [1]}
`

type surroundings struct {
	Same   map[string]any
	Fresh  map[string]any
	Marker string
}

func lookAround(t *testing.T, h *Host, folder string) (s surroundings) {
	t.Helper()
	o := collect(t, start(t, h, Spec{Source: []byte(looksAround), WorkDir: folder})).mustSucceed(t)
	if err := o.guest.Close(); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(o.guest.Output()), &s); err != nil {
		t.Fatalf("%v in %s", err, o.guest.Output())
	}
	if s.Marker != o.guest.Process().Marker {
		t.Errorf("the plugin sees the marker %s, the host gave %s", s.Marker, o.guest.Process().Marker)
	}
	return s
}

func (s surroundings) mustBeLike(t *testing.T, what string, other surroundings) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(s.Same)) {
		if got, want := s.Same[name], other.Same[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %s is %v, it was %v", what, name, got, want)
		}
	}
	for name, value := range s.Fresh {
		if value == other.Fresh[name] {
			t.Errorf("%s: %s is %v in both", what, name, value)
		}
	}
}

// A job finds the same whether it starts cold, warm, or warm after a job that
// spoiled everything it could.
func TestWarmGuestsShareNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	// The same shim, so that its path is the same.
	dir := t.TempDir()
	cold := lookAround(t, newHost(t, Options{Dir: dir}), folder)
	h := newHost(t, Options{Dir: dir, Warm: Warm{Interpreters: 1}})
	first := lookAround(t, h, folder)
	collect(t, start(t, h, Spec{Source: []byte(spoils)})).mustSucceed(t)
	second := lookAround(t, h, folder)
	first.mustBeLike(t, "warm beside cold", cold)
	second.mustBeLike(t, "after a job that spoils", first)
	if s := onlyWarm(t, h); s.Jobs != 3 {
		t.Errorf("%d jobs were warm, want 3", s.Jobs)
	}
}

// What a plugin does with the usual libraries works in a fork.
func TestLibrariesWorkInWarmGuests(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"pandas": `
import io, pandas as pd
text = "a,b,c\n" + "".join("%d,x%d,%f\n" % (i, i % 7, i / 3) for i in range(50_000))
frame = pd.concat(pd.read_csv(io.StringIO(text), chunksize=10_000))
result = frame.groupby("b").a.sum().sum() == sum(range(50_000))`,
		"pyarrow": `
import io, pyarrow as pa, pyarrow.compute as pc, pyarrow.csv as csv, pyarrow.parquet as pq, pyarrow.dataset as ds
text = "a,b\n" + "".join("%d,x%d\n" % (i, i % 7) for i in range(200_000))
table = csv.read_csv(io.BytesIO(text.encode()))
grouped = table.group_by("b").aggregate([("a", "sum")])
pq.write_table(table, "t.parquet")
result = (pc.sum(grouped["a_sum"]).as_py() == sum(range(200_000)) and pq.read_table("t.parquet").equals(table)
    and ds.dataset("t.parquet").to_table(filter=pc.field("a") < 10).num_rows == 10)`,
		"polars": `
import polars as pl
frame = pl.LazyFrame({"a": list(range(100_000)), "b": [i % 7 for i in range(100_000)]})
result = frame.group_by("b").agg(pl.col("a").sum()).collect()["a"].sum() == sum(range(100_000))`,
		"duckdb": `
import duckdb
result = duckdb.connect().execute("select sum(a) from (select unnest(range(1000000)) a)").fetchone()[0] == 499999500000`,
		"numpy": `
import numpy as np
square = np.ones((600, 600))
result = (square @ square).sum() == 600 ** 3 and abs(np.linalg.eigvalsh(np.eye(200)).sum() - 200) < 1e-6`,
		"processes": `
import multiprocessing, subprocess, sys
def double(n): return 2 * n
with multiprocessing.get_context("fork").Pool(2) as pool:
    result = pool.map(double, range(10)) == [2 * n for n in range(10)]
result = result and subprocess.run([sys.executable, "-c", "import pandas; print(6 * 7)"], capture_output=True).stdout == b"42\n"`,
		"threads": `
import concurrent.futures, asyncio, pyarrow as pa
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    result = sum(pool.map(lambda n: pa.array(range(n)).sum().as_py() or 0, range(100))) == 161700
async def late():
    await asyncio.sleep(0)
    return await asyncio.get_running_loop().run_in_executor(None, lambda: 1)
result = result and asyncio.run(late()) == 1`,
	}
	h := warmly(t, Warm{})
	for name, source := range tests {
		t.Run(name, func(t *testing.T) {
			source = strings.ReplaceAll(strings.TrimSpace(source), "\n", "\n    ")
			if name == "processes" { // pickle wants functions in the module
				source = strings.TrimSpace(tests[name])
			} else {
				source = "def work():\n    " + source + "\n    return result\nresult = work()"
			}
			o := collect(t, start(t, h, Spec{Source: []byte(source + "\nclass Handler:\n    def consume(self, event): return {'ok': [bool(result)]}\n")})).mustSucceed(t)
			if !slices.Equal(o.cells, []string{"ok=[true]"}) {
				t.Errorf("%q", o.cells)
			}
		})
	}
	onlyWarm(t, h)
}

// ownEnvironment makes an empty environment, and a file in its site-packages.
func ownEnvironment(t testing.TB, file, content string) (interpreter, packages string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "env")
	if out, err := exec.Command(parts.Python(t), "-m", "venv", "--without-pip", folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found, _ := filepath.Glob(filepath.Join(folder, "lib", "python*", "site-packages"))
	if len(found) != 1 {
		t.Fatalf("site-packages: %v", found)
	}
	if file != "" {
		if err := os.WriteFile(filepath.Join(found[0], file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "bin", "python"), found[0]
}

const doesNothing = "import os\nclass Handler:\n    def consume(self, event): print(os.getppid())\n"

// runsIn runs a job in an environment of its own and gives its output: the pid of
// its parent, which is the warm interpreter or this process.
func runsIn(t testing.TB, h *Host, interpreter string) string {
	t.Helper()
	o := collect(t, start(t, h, Spec{Interpreter: interpreter, Source: []byte(doesNothing)})).mustSucceed(t)
	if err := o.guest.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(o.guest.Output())
}

func TestAnInterpreterThatMustNotBeForked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ sitecustomize, reason string }{
		"an import that starts a thread": {"import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n",
			"an import started 1 Python threads"},
		"a fork that crashes": {"import os\nos.register_at_fork(after_in_child=os.abort)\n", "a fork of it failed its self-test"},
		"an import that fails": {"import sys, types\nsys.modules['pandas'] = None\nimport importlib.util\nimportlib.util.find_spec = lambda name: name\n",
			"import numpy: ModuleNotFoundError"},
		"an interpreter that ends": {"import sys\nif sys.orig_argv[-1] == 'warm':\n    sys.stderr.write('not today\\n'); sys.stderr.flush(); import os; os._exit(3)\n",
			"it ended while it was starting: not today"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interpreter, _ := ownEnvironment(t, "sitecustomize.py", test.sitecustomize)
			h := warmly(t, Warm{})
			runsIn(t, h, interpreter) // all the same, and cold
			all := h.Warm()
			if len(all) != 1 || all[0].State != "cold" || !strings.Contains(all[0].Reason, test.reason) {
				t.Errorf("%v, want cold: %s", all, test.reason)
			}
		})
	}
}

func TestAWarmInterpreterIsReplaced(t *testing.T) {
	t.Parallel()
	interpreter, packages := ownEnvironment(t, "", "")
	h := warmly(t, Warm{Jobs: 3})
	first := runsIn(t, h, interpreter)
	if again := runsIn(t, h, interpreter); again != first {
		t.Errorf("the second job was forked from %s, the first from %s", again, first)
	}
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(packages, later, later); err != nil {
		t.Fatal(err)
	}
	second := runsIn(t, h, interpreter)
	if second == first {
		t.Error("the environment changed, and the interpreter stays")
	}
	// A crash: the next job starts another.
	if err := syscall.Kill(onlyWarm(t, h).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the crash is noticed", func() bool { return h.Warm()[0].State == "cold" })
	third := runsIn(t, h, interpreter)
	if third == second {
		t.Error("the interpreter was killed, and forks")
	}
	// Three jobs wear it out.
	runsIn(t, h, interpreter)
	runsIn(t, h, interpreter)
	eventually(t, "the worn interpreter is replaced", func() bool { return onlyWarm(t, h).Jobs == 0 })
	if fourth := runsIn(t, h, interpreter); fourth == third {
		t.Error("the interpreter forks after its last job")
	}
	h.warm.sweep(time.Now().Add(time.Hour))
	if all := h.Warm(); len(all) != 0 {
		t.Errorf("after an idle hour: %v", all)
	}
}

func TestAGuestWhoseWarmInterpreterCrashed(t *testing.T) {
	t.Parallel()
	interpreter, _ := ownEnvironment(t, "", "")
	h := warmly(t, Warm{})
	folder := t.TempDir()
	source := strings.NewReplacer(`yield {"a": [1]}`, "told('ready')", "%s", "time.sleep(3600)").Replace(startsAFamily)
	g := start(t, h, Spec{Interpreter: interpreter, WorkDir: folder, Source: []byte(source)})
	eventually(t, "the plugin runs", func() bool {
		_, err := os.Stat(filepath.Join(folder, "ready"))
		return err == nil
	})
	if err := syscall.Kill(onlyWarm(t, h).PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	collect(t, g).mustFail(t, EndedEarly)
	for _, name := range append(family, "ready") {
		if runs(t, folder, name) {
			t.Errorf("%s is alive", name)
		}
	}
}

func TestWarmInterpretersHavePlaces(t *testing.T) {
	t.Parallel()
	one, _ := ownEnvironment(t, "", "")
	two, _ := ownEnvironment(t, "", "")
	h := warmly(t, Warm{Interpreters: 1})
	h.warm.mu.Lock()
	h.warm.spare = time.Hour
	h.warm.mu.Unlock()
	runsIn(t, h, one)
	runsIn(t, h, two)
	states := func() (list []string) {
		for _, interpreter := range []string{one, two} {
			state := "none"
			for _, s := range h.Warm() {
				if s.Interpreter == interpreter {
					state = s.State
				}
			}
			list = append(list, state)
		}
		return list
	}
	if got := states(); !slices.Equal(got, []string{"ready", "cold"}) {
		t.Errorf("two environments, one place, just used: %v", got)
	}
	h.warm.mu.Lock()
	h.warm.spare = 0
	h.warm.places[placeKey{interpreter: two}].retry = time.Time{}
	h.warm.mu.Unlock()
	runsIn(t, h, two)
	if got := states(); !slices.Equal(got, []string{"none", "ready"}) {
		t.Errorf("the first was not used for long: %v", got)
	}
	h.warm.mu.Lock()
	h.warm.pressure = func() string { return "memory is short" }
	h.warm.mu.Unlock()
	h.warm.sweep(time.Now())
	runsIn(t, h, two)
	if got := states(); !slices.Equal(got, []string{"none", "cold"}) {
		t.Errorf("while memory is short: %v", got)
	}
}

// A plugin that comes often is forked from an interpreter of its own, which has
// imported what the plugin imports.
func TestImportsAreLearned(t *testing.T) {
	t.Parallel()
	const source = "import os, heavy\nclass Handler:\n    def consume(self, event): print('warm' if heavy.pid == os.getppid() else 'own')\n"
	interpreter, _ := ownEnvironment(t, "heavy.py", "import os\npid = os.getpid()\n")
	dir := t.TempDir()
	options := Options{Dir: dir, Warm: Warm{Interpreters: 2, Learn: true}}
	run := func(h *Host, plugin string) string {
		o := collect(t, start(t, h, Spec{Interpreter: interpreter, Plugin: plugin, Source: []byte(source)})).mustSucceed(t)
		if err := o.guest.Close(); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(o.guest.Output())
	}
	ready := func(h *Host) func() bool {
		return func() bool {
			all := h.Warm()
			return len(all) == 2 && all[1].Plugin == "often" && all[1].State == "ready"
		}
	}
	h := newHost(t, options)
	for range oftenJobs {
		if got := run(h, "often"); got != "own" {
			t.Errorf("%s import, and there were few jobs", got)
		}
	}
	eventually(t, "the plugin has an interpreter of its own", ready(h))
	if got := run(h, "often"); got != "warm" {
		t.Errorf("%s import after %d jobs", got, oftenJobs)
	}
	if got := run(h, "seldom"); got != "own" {
		t.Errorf("%s import of another plugin", got)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	// The next worker still knows.
	h = newHost(t, options)
	for range oftenJobs {
		run(h, "often")
	}
	eventually(t, "the plugin has an interpreter of its own", ready(h))
	if got := run(h, "often"); got != "warm" {
		t.Errorf("%s import in the next worker", got)
	}
}

// A learned import that starts a thread keeps the plugin where it was.
func TestALearnedImportThatStartsAThread(t *testing.T) {
	t.Parallel()
	interpreter, _ := ownEnvironment(t, "busy.py", "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,), daemon=True).start()\n")
	h := newHost(t, Options{Warm: Warm{Interpreters: 2, Learn: true}})
	run := func() {
		collect(t, start(t, h, Spec{Interpreter: interpreter, Source: []byte("import busy\nclass Handler:\n    def consume(self, event): pass\n")})).mustSucceed(t)
	}
	for range oftenJobs {
		run()
	}
	eventually(t, "the plugin's own interpreter is refused", func() bool {
		all := h.Warm()
		return len(all) == 2 && all[1].State == "cold" && strings.Contains(all[1].Reason, "2 Python threads run after the import of busy")
	})
	run()
	if all := h.Warm(); all[0].State != "ready" || all[0].Jobs != oftenJobs+1 {
		t.Errorf("%v", all)
	}
}
