package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// seed makes the tables the same in every run, on every machine.
const seed = 1

// table is one table that all contestants encode.
type table struct {
	name   string
	about  string
	rows   int
	batch  int // rows per record batch
	fields []field
	row    func(r *rand.Rand, b *array.RecordBuilder, row int)
}

// field is a column and what a person who knows the data would choose for it.
type field struct {
	arrow.Field
	hand []leafChoice
}

// leafChoice is the choice for one Parquet column: an encoding by its Parquet
// name, or a dictionary, and whether to leave the codec out.
type leafChoice struct {
	path         string
	encoding     string // "" stands for a dictionary
	uncompressed bool
}

const (
	dictionary  = ""
	plain       = "PLAIN"
	delta       = "DELTA_BINARY_PACKED"
	deltaLength = "DELTA_LENGTH_BYTE_ARRAY"
)

// flat is a nullable column of a flat type, with the choice for it.
func flat(name string, t arrow.DataType, encoding string) field {
	return field{
		Field: arrow.Field{Name: name, Type: t, Nullable: true},
		hand:  []leafChoice{{path: name, encoding: encoding}},
	}
}

// random is a column of bits that no encoding and no codec makes smaller.
func random(name string) field {
	f := flat(name, arrow.PrimitiveTypes.Float64, plain)
	f.hand[0].uncompressed = true
	return f
}

var microseconds = &arrow.TimestampType{Unit: arrow.Microsecond}

// tables gives the tables; all their rows are divided by shrink.
func tables(shrink int) []table {
	all := []table{mixedTable(), textTable(), nullTable(), wideTable(), nestedTable()}
	for i := range all {
		all[i].rows /= shrink
	}
	return all
}

func mixedTable() table {
	return table{
		name: "mixed", rows: 1_000_000, batch: 64 << 10,
		about: "sequence, random float, small integer, strings of low and of high cardinality, timestamp",
		fields: []field{
			flat("id", arrow.PrimitiveTypes.Int64, delta),
			random("value"),
			flat("kind", arrow.PrimitiveTypes.Int32, dictionary),
			flat("city", arrow.BinaryTypes.String, dictionary),
			flat("key", arrow.BinaryTypes.String, deltaLength),
			flat("at", microseconds, delta),
		},
		row: func(r *rand.Rand, b *array.RecordBuilder, row int) {
			for k := range 6 {
				appendMixed(r, b.Field(k), k, row)
			}
		},
	}
}

// appendMixed appends a value of one of the six kinds of the mixed table.
func appendMixed(r *rand.Rand, b array.Builder, kind, row int) {
	switch kind {
	case 0:
		b.(*array.Int64Builder).Append(int64(row))
	case 1:
		b.(*array.Float64Builder).Append(r.Float64())
	case 2:
		b.(*array.Int32Builder).Append(int32(r.IntN(100)))
	case 3:
		b.(*array.StringBuilder).Append(fmt.Sprintf("city-%d", r.IntN(50)))
	case 4:
		b.(*array.StringBuilder).Append(fmt.Sprintf("key-%012d", r.IntN(1e12)))
	case 5:
		b.(*array.TimestampBuilder).Append(arrow.Timestamp(1.7e15 + int64(row)*1000 + int64(r.IntN(900))))
	}
}

func textTable() table {
	vocabulary := strings.Fields("the quick brown fox jumps over a lazy dog while seven purple engines hum quietly beneath distant mountains and rivers of molten glass")
	return table{
		name: "text", rows: 500_000, batch: 64 << 10,
		about: "sentences, paths, random integers",
		fields: []field{
			flat("sentence", arrow.BinaryTypes.String, deltaLength),
			flat("path", arrow.BinaryTypes.String, deltaLength),
			flat("number", arrow.PrimitiveTypes.Int64, delta),
		},
		row: func(r *rand.Rand, b *array.RecordBuilder, row int) {
			var s strings.Builder
			for range 5 + r.IntN(10) {
				s.WriteString(vocabulary[r.IntN(len(vocabulary))])
				s.WriteByte(' ')
			}
			b.Field(0).(*array.StringBuilder).Append(s.String())
			b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("/var/log/app-%d/2024/%02d/part-%06d.log", r.IntN(20), r.IntN(12), row))
			b.Field(2).(*array.Int64Builder).Append(r.Int64N(1e9))
		},
	}
}

func nullTable() table {
	return table{
		name: "nulls", rows: 1_000_000, batch: 64 << 10,
		about: "integers, floats and strings with 5 % nulls",
		fields: []field{
			flat("number", arrow.PrimitiveTypes.Int64, delta),
			random("value"),
			flat("word", arrow.BinaryTypes.String, deltaLength),
		},
		row: func(r *rand.Rand, b *array.RecordBuilder, _ int) {
			for k := range 3 {
				if r.IntN(20) == 0 {
					b.Field(k).AppendNull()
					continue
				}
				switch f := b.Field(k).(type) {
				case *array.Int64Builder:
					f.Append(int64(r.IntN(1e6)))
				case *array.Float64Builder:
					f.Append(r.NormFloat64())
				case *array.StringBuilder:
					f.Append(fmt.Sprintf("v%d", r.IntN(1e6)))
				}
			}
		},
	}
}

func wideTable() table {
	const columns = 500
	t := table{
		name: "wide", rows: 20_000, batch: 5_000,
		about: "500 columns of the mixed table's six kinds",
		row: func(r *rand.Rand, b *array.RecordBuilder, row int) {
			for k := range columns {
				appendMixed(r, b.Field(k), k%6, row)
			}
		},
	}
	kinds := mixedTable().fields
	for k := range columns {
		f := kinds[k%6]
		f.Name = fmt.Sprintf("%s_%03d", f.Name, k)
		f.hand = []leafChoice{f.hand[0]}
		f.hand[0].path = f.Name
		t.fields = append(t.fields, f)
	}
	return t
}

func nestedTable() table {
	point := arrow.StructOf(
		arrow.Field{Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		arrow.Field{Name: "n", Type: arrow.PrimitiveTypes.Int32, Nullable: true})
	return table{
		name: "nested", rows: 1_000_000, batch: 64 << 10,
		about: "lists of structs, and lists of strings with 5 % nulls",
		fields: []field{
			{
				Field: arrow.Field{Name: "points", Type: arrow.ListOf(point), Nullable: true},
				hand: []leafChoice{
					{path: "points.list.element.x", encoding: plain, uncompressed: true},
					{path: "points.list.element.n", encoding: dictionary},
				},
			},
			{
				Field: arrow.Field{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String), Nullable: true},
				hand:  []leafChoice{{path: "tags.list.element", encoding: dictionary}},
			},
		},
		row: func(r *rand.Rand, b *array.RecordBuilder, _ int) {
			l := b.Field(0).(*array.ListBuilder)
			l.Append(true)
			p := l.ValueBuilder().(*array.StructBuilder)
			for range r.IntN(4) {
				p.Append(true)
				p.FieldBuilder(0).(*array.Float64Builder).Append(r.Float64())
				p.FieldBuilder(1).(*array.Int32Builder).Append(int32(r.IntN(1000)))
			}
			l = b.Field(1).(*array.ListBuilder)
			if r.IntN(20) == 0 {
				l.AppendNull()
				return
			}
			l.Append(true)
			for range r.IntN(3) {
				l.ValueBuilder().(*array.StringBuilder).Append(fmt.Sprintf("tag%d", r.IntN(200)))
			}
		},
	}
}

// write makes the table and writes it to an Arrow IPC file. It tells how many
// bytes the file has.
func (t *table) write(path string) (int64, error) {
	file, err := os.Create(path)
	if err != nil {
		return 0, fmt.Errorf("make table %s: %w", t.name, err)
	}
	err = t.writeTo(file)
	size, seekErr := file.Seek(0, 2)
	closeErr := file.Close()
	for _, err := range []error{err, seekErr, closeErr} {
		if err != nil {
			return 0, fmt.Errorf("make table %s: %w", t.name, err)
		}
	}
	return size, nil
}

func (t *table) writeTo(file *os.File) error {
	fields := make([]arrow.Field, len(t.fields))
	for i, f := range t.fields {
		fields[i] = f.Field
	}
	schema := arrow.NewSchema(fields, nil)
	w, err := ipc.NewFileWriter(file, ipc.WithSchema(schema))
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 0))
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for row := range t.rows {
		t.row(r, b, row)
		if (row+1)%t.batch != 0 && row+1 < t.rows {
			continue
		}
		batch := b.NewRecordBatch()
		err := w.Write(batch)
		batch.Release()
		if err != nil {
			return err
		}
	}
	return w.Close()
}

// tuning is what a person chose for a table, in the form that the contestants
// take: Parquet column paths, and the names of the format's encodings.
type tuning struct {
	Columns      []string          `json:"columns"`
	Dictionary   []string          `json:"dictionary"`
	Encodings    map[string]string `json:"encodings"`
	Uncompressed []string          `json:"uncompressed"`
}

func (t *table) tuning() tuning {
	chosen := tuning{Dictionary: []string{}, Encodings: map[string]string{}, Uncompressed: []string{}}
	for _, f := range t.fields {
		for _, leaf := range f.hand {
			chosen.Columns = append(chosen.Columns, leaf.path)
			if leaf.encoding == dictionary {
				chosen.Dictionary = append(chosen.Dictionary, leaf.path)
			} else {
				chosen.Encodings[leaf.path] = leaf.encoding
			}
			if leaf.uncompressed {
				chosen.Uncompressed = append(chosen.Uncompressed, leaf.path)
			}
		}
	}
	return chosen
}
