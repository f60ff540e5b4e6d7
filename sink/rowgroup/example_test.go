package rowgroup_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"

	"github.com/casparian-flow/casparian-worker/sink/rowgroup"
)

// A file of one row group. A file on a disk would be synced after Finish, and
// the group's description kept, before anything relied on the group.
func Example() {
	schema := arrow.NewSchema([]arrow.Field{{Name: "city", Type: arrow.BinaryTypes.String}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"Lima", "Oslo", "Lima"}, nil)
	batch := b.NewRecordBatch()
	defer batch.Release()

	encoder, err := rowgroup.New(schema, rowgroup.Options{Compression: rowgroup.Zstd})
	if err != nil {
		log.Fatal(err)
	}
	var out bytes.Buffer
	out.WriteString(rowgroup.Magic)
	if err := encoder.Write(batch); err != nil {
		log.Fatal(err)
	}
	offset := int64(out.Len())
	group, err := encoder.Finish(&out)
	if err != nil {
		log.Fatal(err)
	}
	groups := []rowgroup.Placed{{RowGroup: group, Offset: offset}}
	footer, err := rowgroup.AppendFooter(nil, schema, groups, nil, "example version 1.0.0 (build 1)")
	if err != nil {
		log.Fatal(err)
	}
	out.Write(footer)

	reader, err := file.NewParquetReader(bytes.NewReader(out.Bytes()))
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	fmt.Println(reader.NumRows(), "rows in", reader.NumRowGroups(), "row group")
	// Output: 3 rows in 1 row group
}
