package parquet

import "github.com/apache/arrow-go/v18/arrow"

// unify gives the one declared type that holds the values of both without loss,
// in the form that came first where form is all that differs. ok is false when
// there is none. The rules are in docs/sinks.md, "When batches differ".
func unify(have, got arrow.DataType) (unified arrow.DataType, ok bool) {
	if arrow.TypeEqual(have, got) {
		return have, true
	}
	if got.ID() == arrow.NULL {
		return have, true
	}
	if have.ID() == arrow.NULL {
		return got, true
	}
	if dictionary, is := have.(*arrow.DictionaryType); is {
		if other, too := got.(*arrow.DictionaryType); too {
			got = other.ValueType
		}
		values, ok := unify(dictionary.ValueType, got)
		return &arrow.DictionaryType{IndexType: dictionary.IndexType, ValueType: values, Ordered: dictionary.Ordered}, ok
	}
	if dictionary, is := got.(*arrow.DictionaryType); is {
		return unify(have, dictionary.ValueType)
	}
	if runs, is := have.(*arrow.RunEndEncodedType); is {
		if other, too := got.(*arrow.RunEndEncodedType); too {
			got = other.Encoded()
		}
		values, ok := unify(runs.Encoded(), got)
		if !ok || encodedTwice(values) {
			return values, ok
		}
		return arrow.RunEndEncodedOf(runs.RunEnds(), values), true
	}
	if runs, is := got.(*arrow.RunEndEncodedType); is {
		return unify(have, runs.Encoded())
	}
	if rank := numberRank[have.ID()]; rank != (number{}) && rank.kind == numberRank[got.ID()].kind {
		if numberRank[got.ID()].width > rank.width {
			return got, true
		}
		return have, true
	}
	switch h := have.(type) {
	case *arrow.StringType, *arrow.LargeStringType, *arrow.StringViewType:
		return have, isText(got)
	case *arrow.BinaryType, *arrow.LargeBinaryType, *arrow.BinaryViewType:
		return have, isBytes(got)
	case arrow.DecimalType:
		return unifyDecimals(h, got)
	case *arrow.StructType:
		if g, is := got.(*arrow.StructType); is {
			return unifyStructs(h, g)
		}
	case *arrow.MapType:
		if g, is := got.(*arrow.MapType); is {
			key, keyOK := unifyFields(h.KeyField(), g.KeyField())
			item, itemOK := unifyFields(h.ItemField(), g.ItemField())
			if !keyOK || !itemOK {
				return nil, false
			}
			mapped := arrow.MapOfFields(key, item)
			mapped.KeysSorted = h.KeysSorted && g.KeysSorted
			return mapped, true
		}
	case arrow.ListLikeType:
		if g, is := got.(arrow.ListLikeType); is && got.ID() != arrow.MAP {
			return unifyLists(h, g)
		}
	}
	return nil, false
}

// number says which numbers may stand in for one another: those of one kind, the
// wider for the narrower.
type number struct {
	kind  byte
	width int // bits
}

var numberRank = map[arrow.Type]number{
	arrow.INT8: {'i', 8}, arrow.INT16: {'i', 16}, arrow.INT32: {'i', 32}, arrow.INT64: {'i', 64},
	arrow.UINT8: {'u', 8}, arrow.UINT16: {'u', 16}, arrow.UINT32: {'u', 32}, arrow.UINT64: {'u', 64},
	arrow.FLOAT16: {'f', 16}, arrow.FLOAT32: {'f', 32}, arrow.FLOAT64: {'f', 64},
}

func isText(dataType arrow.DataType) bool {
	return dataType.ID() == arrow.STRING || dataType.ID() == arrow.LARGE_STRING || dataType.ID() == arrow.STRING_VIEW
}

func isBytes(dataType arrow.DataType) bool {
	return dataType.ID() == arrow.BINARY || dataType.ID() == arrow.LARGE_BINARY || dataType.ID() == arrow.BINARY_VIEW
}

// unifyDecimals takes the greater precision, and the wider type. Another scale is refused: rescaling
// would change the digits that a reader sees.
func unifyDecimals(have arrow.DecimalType, got arrow.DataType) (arrow.DataType, bool) {
	other, is := got.(arrow.DecimalType)
	if !is || other.GetScale() != have.GetScale() {
		return nil, false
	}
	wider := have
	if other.BitWidth() > have.BitWidth() {
		wider = other
	}
	unified, err := arrow.NewDecimalType(wider.ID(), max(have.GetPrecision(), other.GetPrecision()), have.GetScale())
	return unified, err == nil
}

// unifyStructs wants the same fields on both sides, in any order.
func unifyStructs(have, got *arrow.StructType) (arrow.DataType, bool) {
	if have.NumFields() != got.NumFields() {
		return nil, false
	}
	fields := make([]arrow.Field, have.NumFields())
	for i, field := range have.Fields() {
		other, there := got.FieldByName(field.Name)
		if !there {
			return nil, false
		}
		var ok bool
		if fields[i], ok = unifyFields(field, other); !ok {
			return nil, false
		}
	}
	return arrow.StructOf(fields...), true
}

// unifyLists keeps the form of list that came first. Fixed sizes that differ
// make it a list of any size.
func unifyLists(have, got arrow.ListLikeType) (arrow.DataType, bool) {
	element, ok := unifyFields(have.ElemField(), got.ElemField())
	if !ok {
		return nil, false
	}
	switch h := have.(type) {
	case *arrow.LargeListType:
		return arrow.LargeListOfField(element), true
	case *arrow.ListViewType:
		return arrow.ListViewOfField(element), true
	case *arrow.LargeListViewType:
		return arrow.LargeListViewOfField(element), true
	case *arrow.FixedSizeListType:
		if g, is := got.(*arrow.FixedSizeListType); is && g.Len() == h.Len() {
			return arrow.FixedSizeListOfField(h.Len(), element), true
		}
	}
	return arrow.ListOfField(element), true
}

func unifyFields(have, got arrow.Field) (arrow.Field, bool) {
	unified, ok := unify(have.Type, got.Type)
	have.Type = unified
	return have, ok
}

// unsettled tells whether a later batch may widen the type: then the first
// batches are held back, so that widening costs nothing while it is likely.
func unsettled(declared arrow.DataType) bool {
	switch t := declared.(type) {
	case *arrow.NullType, *arrow.Int8Type, *arrow.Int16Type, *arrow.Int32Type,
		*arrow.Uint8Type, *arrow.Uint16Type, *arrow.Uint32Type, *arrow.Float16Type, *arrow.Float32Type,
		*arrow.Decimal32Type, *arrow.Decimal64Type, *arrow.Decimal128Type:
		return true
	case *arrow.DictionaryType:
		return unsettled(t.ValueType)
	case *arrow.RunEndEncodedType:
		return unsettled(t.Encoded())
	case *arrow.StructType:
		for _, field := range t.Fields() {
			if unsettled(field.Type) {
				return true
			}
		}
	case *arrow.FixedSizeListType: // later ones may be of another size
		return true
	case arrow.ListLikeType: // a map is one, of key and value
		return unsettled(t.Elem())
	}
	return false
}
