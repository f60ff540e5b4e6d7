package rowgroup

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// compareLevels builds the levels of every leaf of a column twice.
func compareLevels(t *testing.T, f arrow.Field, col arrow.Array, from, rows int) {
	t.Helper()
	tree, err := newSchemaTree(arrow.NewSchema([]arrow.Field{f}, nil))
	if err != nil {
		t.Fatal(err)
	}
	var l levels
	for _, lf := range tree.leaves {
		var want []slot
		for i := range rows {
			want = append(want, shred(col, from+i, lf.steps, 0, 0, 0)...)
		}
		data, err := l.walk(lf, col.Data(), from, rows, 1<<30)
		if err != nil {
			t.Fatalf("%s: %v", f.Type, err)
		}
		if l.slots != len(want) {
			t.Fatalf("%s, leaf %s: %d slots, not %d", f.Type, lf.name, l.slots, len(want))
		}
		var got []string
		if lf.allNull && l.open > 0 {
			t.Fatalf("%s: a null column has values", f.Type)
		}
		leaf := array.MakeFromData(data)
		for _, s := range l.spans {
			for p := s.start; p < s.start+s.n; p++ {
				got = append(got, leaf.ValueStr(p-data.Offset()))
			}
		}
		k := 0
		for i, s := range want {
			def, rep := int(lf.maxDef), 0
			if !l.allOpen {
				def = int(l.defs[i])
			}
			if l.rep > 0 {
				rep = int(l.reps[i])
			}
			if def != s.def || rep != s.rep {
				t.Fatalf("%s, leaf %s, slot %d: levels %d and %d, not %d and %d", f.Type, lf.name, i, rep, def, s.rep, s.def)
			}
			if s.def == int(lf.maxDef) {
				if k >= len(got) || got[k] != s.value {
					t.Fatalf("%s, leaf %s, slot %d: another value than %q", f.Type, lf.name, i, s.value)
				}
				k++
			}
		}
		if k != len(got) {
			t.Fatalf("%s, leaf %s: %d values, not %d", f.Type, lf.name, len(got), k)
		}
	}
}

func FuzzLevels(f *testing.F) {
	for seed := range uint64(60) {
		f.Add(seed, uint8(seed), uint8(seed*7), uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, depth, rows, nulls uint8) {
		g := newGenerator(seed)
		g.nulls = nullPattern(nulls % 5)
		field := arrow.Field{Name: "c", Type: g.randomType(int(depth%6)+1, flatTypes()), Nullable: seed%5 > 0}
		if unwrapped(field.Type).ID() == arrow.NULL {
			field.Nullable = true
		}
		n := int(rows)
		col := g.column(field, n)
		from := 0
		if n > 0 {
			from = g.IntN(n)
		}
		compareLevels(t, field, col, from, n-from)
	})
}

func TestLevelsOfEveryNesting(t *testing.T) {
	for _, dt := range nestedTypes() {
		for name, pattern := range nullPatterns {
			g := newGenerator(5)
			g.nulls = pattern
			field := arrow.Field{Name: "c", Type: dt, Nullable: true}
			t.Run(dt.String()+" "+name, func(t *testing.T) {
				compareLevels(t, field, g.column(field, 200), 3, 190)
			})
		}
	}
}
