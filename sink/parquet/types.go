package parquet

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"

	"github.com/casparian-flow/casparian-worker/sink"
)

// A column has a declared type: what the encoder writes, and what a reader that
// understands ARROW:schema gets back. It is the plugin's own type, all parts of
// it nullable, except where batches of one plugin differ in what means nothing:
// the integers that index a dictionary or end runs, and the names inside of lists
// and maps.
//
// Batches that are held back have their plain types: see plainType.

// maxNesting is how deep types may be nested. It bounds recursion; nobody has
// such data.
const maxNesting = 64

const (
	extensionName     = "ARROW:extension:name"
	extensionMetadata = "ARROW:extension:metadata"
)

// declareField gives the declared form of a plugin's field: its type declared,
// nullable, an extension type taken apart into storage and metadata.
// path names the field in errors.
func declareField(field arrow.Field, path string, depth int) (arrow.Field, error) {
	declared := arrow.Field{Name: field.Name, Nullable: true, Metadata: field.Metadata}
	dataType := field.Type
	for {
		extension, ok := dataType.(arrow.ExtensionType)
		if !ok {
			break
		}
		entries := declared.Metadata.ToMap()
		if _, outer := entries[extensionName]; !outer {
			entries[extensionName] = extension.ExtensionName()
			entries[extensionMetadata] = extension.Serialize()
			declared.Metadata = arrow.MetadataFrom(entries)
		}
		dataType = extension.StorageType()
	}
	var err error
	declared.Type, err = declare(dataType, path, depth)
	return declared, err
}

// declare gives the declared form of a type, or an [*sink.UnsupportedTypeError].
func declare(dataType arrow.DataType, path string, depth int) (arrow.DataType, error) {
	refuse := func(reason string, args ...any) (arrow.DataType, error) {
		return nil, &sink.UnsupportedTypeError{Column: path, Type: dataType.String(), Reason: fmt.Sprintf(reason, args...)}
	}
	if depth > maxNesting {
		return refuse("it is nested deeper than %d levels", maxNesting)
	}
	switch t := dataType.(type) {
	case *arrow.NullType, *arrow.BooleanType,
		*arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type, *arrow.Int64Type,
		*arrow.Uint8Type, *arrow.Uint16Type, *arrow.Uint32Type, *arrow.Uint64Type,
		*arrow.Float16Type, *arrow.Float32Type, *arrow.Float64Type,
		*arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType,
		*arrow.BinaryType, *arrow.LargeBinaryType, *arrow.BinaryViewType,
		*arrow.Date32Type, *arrow.Date64Type, *arrow.Time32Type, *arrow.Time64Type,
		*arrow.TimestampType, *arrow.DurationType,
		*arrow.MonthIntervalType, *arrow.DayTimeIntervalType, *arrow.MonthDayNanoIntervalType:
		return dataType, nil
	case *arrow.FixedSizeBinaryType:
		if t.ByteWidth <= 0 {
			return refuse("its values have no bytes")
		}
		return t, nil
	case arrow.DecimalType:
		return declareDecimal(t, refuse)
	case *arrow.DictionaryType:
		values, err := declareField(arrow.Field{Type: t.ValueType}, path, depth+1)
		if err != nil {
			return nil, err
		}
		if encodedTwice(values.Type) {
			return values.Type, nil
		}
		// Later batches may bring more values than the plugin's own index type counts.
		return &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: values.Type, Ordered: t.Ordered}, nil
	case *arrow.RunEndEncodedType:
		values, err := declareField(arrow.Field{Type: t.Encoded()}, path, depth+1)
		if err != nil {
			return nil, err
		}
		if encodedTwice(values.Type) {
			return values.Type, nil
		}
		return arrow.RunEndEncodedOf(arrow.PrimitiveTypes.Int32, values.Type), nil
	case *arrow.StructType:
		return declareStruct(t, path, depth, refuse)
	case *arrow.MapType:
		key, err := declareField(t.KeyField(), path+".key", depth+1)
		if err != nil {
			return nil, err
		}
		item, err := declareField(t.ItemField(), path+".value", depth+1)
		if err != nil {
			return nil, err
		}
		if key.Type.ID() == arrow.NULL {
			return refuse("its keys have no type")
		}
		key.Name, key.Nullable, item.Name = "key", false, "value"
		mapped := arrow.MapOfFields(key, item)
		mapped.KeysSorted = t.KeysSorted
		return mapped, nil
	case arrow.ListLikeType:
		element, err := declareField(t.ElemField(), path+".element", depth+1)
		if err != nil {
			return nil, err
		}
		element.Name = "element"
		switch t := dataType.(type) {
		case *arrow.LargeListType:
			return arrow.LargeListOfField(element), nil
		case *arrow.ListViewType:
			return arrow.ListViewOfField(element), nil
		case *arrow.LargeListViewType:
			return arrow.LargeListViewOfField(element), nil
		case *arrow.FixedSizeListType:
			if t.Len() <= 0 {
				return arrow.ListOfField(element), nil
			}
			return arrow.FixedSizeListOfField(t.Len(), element), nil
		}
		return arrow.ListOfField(element), nil
	case arrow.UnionType:
		return refuse("Parquet has no unions")
	}
	return refuse("the type is not known")
}

func declareStruct(t *arrow.StructType, path string, depth int,
	refuse func(string, ...any) (arrow.DataType, error)) (arrow.DataType, error) {
	if t.NumFields() == 0 {
		return refuse("Parquet has no struct without fields")
	}
	seen := make(map[string]bool, t.NumFields())
	fields := make([]arrow.Field, t.NumFields())
	for i, field := range t.Fields() {
		if seen[field.Name] {
			return refuse("the field %q is there twice", field.Name)
		}
		seen[field.Name] = true
		var err error
		if fields[i], err = declareField(field, path+"."+field.Name, depth+1); err != nil {
			return nil, err
		}
	}
	return arrow.StructOf(fields...), nil
}

// encodedTwice tells whether the values of a dictionary, or of runs, are encoded
// themselves, or nothing: then one wrapper is enough, or none.
func encodedTwice(values arrow.DataType) bool {
	switch values.ID() {
	case arrow.NULL, arrow.DICTIONARY, arrow.RUN_END_ENCODED:
		return true
	}
	return false
}

// mostDigits is the greatest precision of each decimal type.
var mostDigits = map[arrow.Type]int32{arrow.DECIMAL32: 9, arrow.DECIMAL64: 18, arrow.DECIMAL128: decimal128.MaxPrecision,
	arrow.DECIMAL256: decimal256.MaxPrecision}

func declareDecimal(t arrow.DecimalType, refuse func(string, ...any) (arrow.DataType, error)) (arrow.DataType, error) {
	precision, scale := t.GetPrecision(), t.GetScale()
	if scale < 0 || scale > precision || precision < 1 {
		return refuse("Parquet wants 0 <= scale <= precision")
	}
	if most := mostDigits[t.ID()]; precision > most {
		return refuse("its precision is above %d", most)
	}
	return t, nil
}

// plainType gives the type in which rows are held back: without dictionaries,
// runs and views, whose memory belongs to all batches of a plugin and cannot be
// told apart.
func plainType(declared arrow.DataType) arrow.DataType {
	plain := func(field arrow.Field) arrow.Field {
		field.Type = plainType(field.Type)
		return field
	}
	switch t := declared.(type) {
	case *arrow.DictionaryType:
		return plainType(t.ValueType)
	case *arrow.RunEndEncodedType:
		return plainType(t.Encoded())
	case *arrow.StringViewType:
		return arrow.BinaryTypes.String
	case *arrow.BinaryViewType:
		return arrow.BinaryTypes.Binary
	case *arrow.StructType:
		fields := make([]arrow.Field, t.NumFields())
		for i, field := range t.Fields() {
			fields[i] = plain(field)
		}
		return arrow.StructOf(fields...)
	case *arrow.MapType:
		mapped := arrow.MapOfFields(plain(t.KeyField()), plain(t.ItemField()))
		mapped.KeysSorted = t.KeysSorted
		return mapped
	case *arrow.LargeListType:
		return arrow.LargeListOfField(plain(t.ElemField()))
	case *arrow.LargeListViewType:
		return arrow.LargeListOfField(plain(t.ElemField()))
	case *arrow.FixedSizeListType:
		return arrow.FixedSizeListOfField(t.Len(), plain(t.ElemField()))
	case arrow.ListLikeType:
		return arrow.ListOfField(plain(t.ElemField()))
	}
	return declared
}
