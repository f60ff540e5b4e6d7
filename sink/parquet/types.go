package parquet

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/decimal256"

	"github.com/casparian-flow/casparian-worker/sink"
)

// A column has two types.
//
// Its declared type is what a reader that understands ARROW:schema gets back: the
// plugin's own type, except that the newer layouts which older readers do not
// know (views, 32 and 64 bit decimals, run ends) are declared as the plain type
// with the same values, and dictionaries inside of other types as their values.
//
// Its stored type is what the encoder is given: one of few types that Parquet
// has a form for. A dictionary is stored as its values, seconds as milliseconds,
// a duration as a number.

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
		*arrow.StringType, *arrow.LargeStringType, *arrow.BinaryType, *arrow.LargeBinaryType,
		*arrow.Date32Type, *arrow.Date64Type, *arrow.Time32Type, *arrow.Time64Type,
		*arrow.TimestampType, *arrow.DurationType:
		return dataType, nil
	case *arrow.StringViewType:
		return arrow.BinaryTypes.String, nil
	case *arrow.BinaryViewType:
		return arrow.BinaryTypes.Binary, nil
	case *arrow.FixedSizeBinaryType:
		if t.ByteWidth <= 0 {
			return refuse("its values have no bytes")
		}
		return t, nil
	case arrow.DecimalType:
		return declareDecimal(t, refuse)
	case *arrow.DictionaryType:
		values, err := declareField(arrow.Field{Type: t.ValueType}, path, depth)
		if err != nil {
			return nil, err
		}
		if _, nested := values.Type.(arrow.NestedType); nested {
			return refuse("a dictionary of nested values has no form in Parquet")
		}
		if values.Type.ID() == arrow.NULL {
			return arrow.Null, nil
		}
		// pyarrow cannot read a dictionary inside of a list from more than one row
		// group ("Nested data conversions not implemented for chunked array outputs").
		if depth > 0 || values.Type.ID() == arrow.DICTIONARY {
			return values.Type, nil
		}
		// Later batches may bring more values than the plugin's own index type counts.
		return &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: values.Type, Ordered: t.Ordered}, nil
	case *arrow.RunEndEncodedType:
		values, err := declareField(arrow.Field{Type: t.Encoded()}, path, depth)
		if err != nil {
			return nil, err
		}
		if _, nested := values.Type.(arrow.NestedType); nested {
			return refuse("runs of nested values are not understood")
		}
		return values.Type, nil
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
		case *arrow.LargeListType, *arrow.LargeListViewType:
			return arrow.LargeListOfField(element), nil
		case *arrow.FixedSizeListType:
			if t.Len() <= 0 {
				return arrow.ListOfField(element), nil
			}
			return arrow.FixedSizeListOfField(t.Len(), element), nil
		}
		return arrow.ListOfField(element), nil
	case arrow.UnionType:
		return refuse("Parquet has no unions")
	case *arrow.MonthIntervalType, *arrow.DayTimeIntervalType, *arrow.MonthDayNanoIntervalType:
		return refuse("calendar intervals read differently in every reader")
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

func declareDecimal(t arrow.DecimalType, refuse func(string, ...any) (arrow.DataType, error)) (arrow.DataType, error) {
	precision, scale := t.GetPrecision(), t.GetScale()
	if scale < 0 || scale > precision || precision < 1 {
		return refuse("Parquet wants 0 <= scale <= precision")
	}
	if t.ID() == arrow.DECIMAL256 {
		if precision > decimal256.MaxPrecision {
			return refuse("its precision is above %d", decimal256.MaxPrecision)
		}
		return t, nil
	}
	if precision > decimal128.MaxPrecision {
		return refuse("its precision is above %d", decimal128.MaxPrecision)
	}
	return &arrow.Decimal128Type{Precision: precision, Scale: scale}, nil
}

// stored gives the stored type for a declared one.
func stored(declared arrow.DataType) arrow.DataType {
	plain := func(field arrow.Field) arrow.Field {
		return arrow.Field{Name: field.Name, Type: stored(field.Type), Nullable: field.Nullable}
	}
	switch t := declared.(type) {
	case *arrow.DictionaryType:
		return stored(t.ValueType)
	case *arrow.DurationType:
		return arrow.PrimitiveTypes.Int64
	case *arrow.Date64Type:
		return arrow.FixedWidthTypes.Date32
	case *arrow.Time32Type:
		return arrow.FixedWidthTypes.Time32ms
	case *arrow.TimestampType:
		if t.Unit == arrow.Second {
			return &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: t.TimeZone}
		}
	case *arrow.StructType:
		fields := make([]arrow.Field, t.NumFields())
		for i, field := range t.Fields() {
			fields[i] = plain(field)
		}
		return arrow.StructOf(fields...)
	case *arrow.MapType:
		return arrow.MapOfFields(plain(t.KeyField()), plain(t.ItemField()))
	case *arrow.LargeListType:
		return arrow.LargeListOfField(plain(t.ElemField()))
	case arrow.ListLikeType:
		return arrow.ListOfField(plain(t.ElemField()))
	}
	return declared
}
