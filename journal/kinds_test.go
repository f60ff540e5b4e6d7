package journal

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the files in testdata anew")

func TestEveryKindReadsBackAsItWasWritten(t *testing.T) {
	seen := map[Kind]bool{}
	for _, event := range story() {
		kind, data, decoded, err := encodeEvent(event)
		if err != nil {
			t.Fatal(err)
		}
		seen[kind] = true
		if !reflect.DeepEqual(decoded, event) {
			t.Errorf("%s:\n%+v\n%+v", kind, event, decoded)
		}
		raw := encodeRecord(12, time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), event.Job(), kind, DigestOf(nil), data)
		record, err := ParseRecord(raw)
		if err != nil {
			t.Fatal(err)
		}
		want := Record{Seq: 12, Time: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Job: event.Job(),
			Kind: kind, Version: schemas[kind].version, Prev: DigestOf(nil), Event: event, Raw: raw}
		if !reflect.DeepEqual(record, want) {
			t.Errorf("%s:\n%+v\n%+v", kind, record, want)
		}
		var general map[string]any
		if err := json.Unmarshal(raw, &general); err != nil || len(general) != 7 {
			t.Errorf("%s is not plain JSON: %v\n%s", kind, err, raw)
		}
	}
	for kind := range schemas {
		if !seen[kind] {
			t.Errorf("the story has no %s", kind)
		}
	}
}

// TestTheJournalKeepsNoMemoryOfItsCallers: what a caller does to an event after
// Append changes nothing.
func TestTheJournalKeepsNoMemoryOfItsCallers(t *testing.T) {
	j := open(t, t.TempDir())
	spec := jobSpec()
	event := JobAccepted{JobID: 1, Generation: 1, Spec: spec, Origin: OriginNew}
	appendAll(t, j, event)
	want := dump(j.State())
	spec.Sinks[0].Topic = "changed"
	copy(spec.Sinks[0].Schema, "XXXXXXXX")
	if got := dump(j.State()); got != want {
		t.Errorf("%s\n%s", got, want)
	}
}

// TestTheSetOfEventsIsSealed reads event.go and checks that each type which can be
// an event is known to the codec and says in a sentence what it means, and that the
// book of events in docs/journal.md has it.
func TestTheSetOfEventsIsSealed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	documented, kinds := map[string]string{}, map[string]bool{}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if typ, ok := spec.(*ast.TypeSpec); ok {
					doc := typ.Doc
					if doc == nil {
						doc = d.Doc
					}
					documented[typ.Name.Name] = doc.Text()
				}
			}
		case *ast.FuncDecl:
			if d.Name.Name == "kind" {
				kinds[d.Recv.List[0].Type.(*ast.Ident).Name] = true
			}
		}
	}
	registered := map[string]Kind{}
	for kind, schema := range schemas {
		registered[schema.event.Name()] = kind
		if got := reflect.Zero(schema.event).Interface().(Event).kind(); got != kind {
			t.Errorf("%s is registered as %s and says %s", schema.event.Name(), kind, got)
		}
		if !isName([]byte(kind)) {
			t.Errorf("%q is not spelt as a kind", kind)
		}
	}
	if len(registered) != len(schemas) {
		t.Error("a type is registered twice")
	}
	book, err := os.ReadFile("../docs/journal.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range kinds {
		kind, ok := registered[name]
		if !ok {
			t.Errorf("%s is not registered in kinds.go", name)
		}
		if !strings.HasPrefix(documented[name], name+": ") || !strings.HasSuffix(strings.TrimSpace(documented[name]), ".") {
			t.Errorf("%s has no sentence of the form %q", name, name+": ….")
		}
		if !strings.Contains(string(book), "| `"+string(kind)+"` |") {
			t.Errorf("docs/journal.md has no row for %s", kind)
		}
	}
	if len(kinds) != len(schemas) {
		t.Errorf("event.go has %d event types, %d are registered", len(kinds), len(schemas))
	}
}

// TestStoredFieldsChangeOnlyWithTheirVersion compares the fields of all events with
// the ones on file. When it fails: raise the version in kinds.go, keep a decoder for
// the old one, and run with -update.
func TestStoredFieldsChangeOnlyWithTheirVersion(t *testing.T) {
	var text strings.Builder
	for _, kind := range slices.Sorted(maps.Keys(schemas)) {
		fmt.Fprintf(&text, "%s v%d %s\n", kind, schemas[kind].version, fieldsOf(schemas[kind].event))
	}
	path := filepath.Join("testdata", "fields.txt")
	if *update {
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("stored fields have changed:\n%s\nwere:\n%s", text.String(), want)
	}
}

func fieldsOf(typ reflect.Type) string {
	switch {
	case typ == reflect.TypeFor[json.RawMessage]():
		return "json"
	case typ == reflect.TypeFor[time.Time]():
		return "time"
	case typ.Kind() == reflect.Slice:
		return "[]" + fieldsOf(typ.Elem())
	case typ.Kind() == reflect.Map:
		return "map[" + fieldsOf(typ.Key()) + "]" + fieldsOf(typ.Elem())
	case typ.Kind() != reflect.Struct:
		return typ.Kind().String()
	}
	var fields []string
	for field := range typ.Fields() {
		if field.Anonymous {
			fields = append(fields, strings.Trim(fieldsOf(field.Type), "{}"))
			continue
		}
		fields = append(fields, field.Tag.Get("json")+" "+fieldsOf(field.Type))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

func TestRecordsThatAreNotWhatAWorkerWrites(t *testing.T) {
	good := `{"seq":1,"at":"2026-01-02T03:04:05Z","job":0,"kind":"worker-stopped","v":1,"prev":"` +
		string(DigestOf(nil)) + `","event":{"reason":"x"}}`
	if _, err := ParseRecord([]byte(good)); err != nil {
		t.Fatal(err)
	}
	isNewer := func(err error) bool { _, ok := errors.AsType[*NewerError](err); return ok }
	cases := []struct {
		name, old, new string
		want           func(error) bool
	}{
		{"nothing", good, "", isCorrupt},
		{"cut short", `"x"}}`, `"x"`, isCorrupt},
		{"something behind", `"x"}}`, `"x"}}}`, isCorrupt},
		{"a space", `{"seq":1`, `{ "seq":1`, isCorrupt},
		{"members in another order", `"job":0,"kind":"worker-stopped"`, `"kind":"worker-stopped","job":0`, isCorrupt},
		{"number with a zero in front", `"seq":1`, `"seq":01`, isCorrupt},
		{"record 0", `"seq":1`, `"seq":0`, isCorrupt},
		{"negative number", `"seq":1`, `"seq":-1`, isCorrupt},
		{"number above 64 bits", `"seq":1`, `"seq":18446744073709551616`, isCorrupt},
		{"no number", `"job":0`, `"job":`, isCorrupt},
		{"no time", "2026-01-02T03:04:05Z", "yesterday", isCorrupt},
		{"no kind", "worker-stopped", "", isCorrupt},
		{"a kind in capitals", "worker-stopped", "Worker", isCorrupt},
		{"short prev", `"prev":"e`, `"prev":"`, isCorrupt},
		{"version 0", `"v":1`, `"v":0`, isCorrupt},
		{"version 2", `"v":1`, `"v":2`, isNewer},
		{"a kind not known", "worker-stopped", "worker-promoted", isNewer},
		{"an unknown field", `{"reason":"x"}`, `{"reason":"x","more":1}`, isCorrupt},
		{"an event that is no object", `{"reason":"x"}`, `[]`, isCorrupt},
		{"a field of another type", `{"reason":"x"}`, `{"reason":1}`, isCorrupt},
		{"two events", `{"reason":"x"}`, `{"reason":"x"}{}`, isCorrupt},
		{"an event of another job", `"job":0`, `"job":5`, isCorrupt},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bad := strings.Replace(good, c.old, c.new, 1)
			if bad == good {
				t.Fatal("the case changes nothing")
			}
			if _, err := ParseRecord([]byte(bad)); !c.want(err) || !strings.Contains(err.Error(), "(") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestEventsThatCannotBeStored(t *testing.T) {
	j := open(t, t.TempDir())
	huge := WorkerStopped{Reason: strings.Repeat("x", MaxEvent)}
	unreadable := JobAccepted{JobID: 1, Generation: 1, Spec: JobSpec{Sinks: []SinkSpec{{Schema: []byte(`{"open`)}}}, Origin: OriginNew}
	var none *WorkerStopped
	for name, event := range map[string]Event{"nil": nil, "a pointer": &WorkerStopped{}, "a nil pointer": none,
		"too large": huge, "broken JSON inside": unreadable} {
		t.Run(name, func(t *testing.T) {
			if _, err := j.Append(t.Context(), event); err == nil {
				t.Fatal("it was taken")
			} else if name == "too large" && !errors.Is(err, ErrTooLarge) {
				t.Error(err)
			}
		})
	}
	if _, err := j.Append(t.Context(), WorkerStopped{}, make([]byte, MaxBlob+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a blob above the limit: %v", err)
	}
	if n := j.State().Events; n != 0 {
		t.Errorf("%d events were written", n)
	}
}
