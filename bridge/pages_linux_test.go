package bridge

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"

	"github.com/casparian-flow/casparian-worker/integration/parts"
)

// inShim runs Python that can import our shim's package, and reads the JSON that it
// prints.
func inShim(t *testing.T, source string, into any) {
	t.Helper()
	cmd := exec.Command(parts.Python(t), "-c", source)
	cmd.Env = append(os.Environ(), "PYTHONPATH=guest", "PYTHONDONTWRITEBYTECODE=1", MarkerVariable+"=before")
	cmd.Stderr = os.Stderr
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	if err := json.Unmarshal(printed, into); err != nil {
		t.Fatalf("%v in %s", err, printed)
	}
}

func TestForksGetTheirPages(t *testing.T) {
	var got struct {
		Written, Below int
		Own            []bool
		Refused        bool
	}
	inShim(t, `
import json, mmap, os
from casparian_guest import pages
memory = mmap.mmap(-1, 64 * pages.SIZE, mmap.MAP_PRIVATE)
for i in range(64): memory[i * pages.SIZE] = 1
areas = pages.areas()
def fork(work):
    reader, writer = os.pipe()
    if os.fork() == 0:
        try: os.write(writer, json.dumps(work()).encode())
        finally: os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer: result = json.load(answer)
    os.wait()
    return result
place = pages.ctypes.addressof(pages.ctypes.c_char.from_buffer(memory))
def ours(ranges):
    return [any(start <= place + i * pages.SIZE < start + length for start, length in ranges) for i in range(64)]
def first():
    for i in range(0, 64, 2): memory[i * pages.SIZE] = 2
    return pages.written(areas)
written = fork(first)
ranges = [each for each in written if place <= each[0] < place + 64 * pages.SIZE]
pages.copy_in_forks(ranges)
def second():
    return ours(pages.written(areas)), sum(fork(third))
def third():
    return ours(pages.written(areas))
own, below = fork(second)
print(json.dumps({"written": sum(ours(written)), "own": own, "below": below, "refused": fork(pages.Copier(ranges)) == -1}))
`, &got)
	if got.Written != 32 {
		t.Errorf("a fork wrote to %d pages, 32 are found", got.Written)
	}
	if got.Below != 0 {
		t.Errorf("a fork's own fork had %d pages copied", got.Below)
	}
	if got.Refused {
		t.Log("this kernel copies no pages ahead")
	}
	for i, own := range got.Own {
		if want := i%2 == 0 && !got.Refused; own != want {
			t.Errorf("page %d is the fork's own: %v, wanted %v", i, own, want)
		}
	}
}

func TestNumpysStateIsWrittenInPlace(t *testing.T) {
	var got struct {
		How        string
		Same       bool
		Position   int
		Gauss      int
		Different  bool
		Reproduces bool
	}
	inShim(t, `
import json, os, numpy
from casparian_guest import identity
numpy.random.normal()  # leaves a second number for the next call
state = identity._numpy_state(numpy)
words = os.urandom(4 * identity.MT19937_WORDS)
before = numpy.random.random()
state(words)
name, key, position, gauss, _ = numpy.random.get_state()
drawn = numpy.random.random(1000)
plain = numpy.random.RandomState()
plain.set_state(("MT19937", numpy.frombuffer(words, numpy.uint32), 624))
print(json.dumps({"how": state.__name__, "same": key.tobytes() == words, "position": position, "gauss": gauss,
    "different": bool(before != drawn[0]), "reproduces": bool((plain.random_sample(1000) == drawn).all())}))
`, &got)
	if got.How != "directly" || !got.Same || got.Position != 624 || got.Gauss != 0 || !got.Different || !got.Reproduces {
		t.Errorf("%+v", got)
	}
}
