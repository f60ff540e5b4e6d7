package rowgroup

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// The key ARROW:schema of the file's metadata holds the Arrow schema, so that a
// reader can restore what Parquet does not say: durations, large strings,
// dictionaries, time zones. The convention is Arrow's own (C++ and Rust write
// it), not the format's.

// arrowSchemaKey is where readers look for it.
const arrowSchemaKey = "ARROW:schema"

// arrowSchema is the schema as an Arrow IPC message, base64, without the
// end-of-stream mark.
func arrowSchema(schema *arrow.Schema) (string, error) {
	fields := make([]arrow.Field, schema.NumFields())
	for i, f := range schema.Fields() {
		f.Type = storedType(f.Type, false)
		fields[i] = f
	}
	md := schema.Metadata()
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(arrow.NewSchema(fields, &md)))
	if err := w.Close(); err != nil {
		return "", fmt.Errorf("serialize the Arrow schema: %w", err)
	}
	const endOfStream = 8
	return base64.StdEncoding.EncodeToString(b.Bytes()[:b.Len()-endOfStream]), nil
}

// storedType is the type that the file claims. It is the type that was written,
// except where a reader would refuse the whole file over it:
//
//   - polars (2.1) knows neither run-end encoding nor list views: they become
//     their values, and lists.
//   - pyarrow (26) cannot read a dictionary inside of a list or struct when it
//     changes between row groups: nested ones become their values.
//   - pyarrow has no intervals of months, or of days and milliseconds: they are
//     claimed as what they are in the file, twelve bytes.
func storedType(dt arrow.DataType, nested bool) arrow.DataType {
	under := func(f arrow.Field) arrow.Field {
		f.Type = storedType(f.Type, true)
		return f
	}
	switch t := dt.(type) {
	case *arrow.RunEndEncodedType:
		return storedType(t.Encoded(), nested)
	case *arrow.DictionaryType:
		if value := storedType(t.ValueType, nested); nested || !arrow.TypeEqual(value, t.ValueType) || arrow.IsNested(value.ID()) {
			return value
		}
	case *arrow.MonthIntervalType, *arrow.DayTimeIntervalType:
		return &arrow.FixedSizeBinaryType{ByteWidth: 12}
	case *arrow.ListType:
		return arrow.ListOfField(under(t.ElemField()))
	case *arrow.LargeListType:
		return arrow.LargeListOfField(under(t.ElemField()))
	case *arrow.ListViewType:
		return arrow.ListOfField(under(t.ElemField()))
	case *arrow.LargeListViewType:
		return arrow.LargeListOfField(under(t.ElemField()))
	case *arrow.FixedSizeListType:
		return arrow.FixedSizeListOfField(t.Len(), under(t.ElemField()))
	case *arrow.StructType:
		fields := make([]arrow.Field, t.NumFields())
		for i, f := range t.Fields() {
			fields[i] = under(f)
		}
		return arrow.StructOf(fields...)
	case *arrow.MapType:
		m := arrow.MapOfFields(under(t.KeyField()), under(t.ItemField()))
		m.KeysSorted = t.KeysSorted
		return m
	}
	return dt
}
