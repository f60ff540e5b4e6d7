package rowgroup

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// parquet.thrift, SchemaElement, and LogicalTypes.md, "Nested Types": the
// Arrow schema as a tree of groups and leaves, flattened depth first.
//
//	list<T>   optional group NAME (LIST) { repeated group list { T element } }
//	map<K,V>  optional group NAME (MAP) { repeated group key_value { required K key; V value } }
//	struct    optional group NAME { fields }

// repetition is parquet.thrift's enum FieldRepetitionType.
type repetition int32

const (
	required repetition = 0
	optional repetition = 1
	repeated repetition = 2
)

// schemaElement is one node of the flattened tree.
type schemaElement struct {
	name       string
	repetition repetition
	children   int // of a group; zero for a leaf
	leaf       *leaf
	annotation annotation
	fieldID    int32 // negative: none
}

// stepKind is what leads from one Arrow array to the next on the way to a leaf.
type stepKind uint8

const (
	stepLeaf stepKind = iota
	stepStruct
	stepList
	stepLargeList
	stepFixedList
	stepListView
	stepLargeListView
)

// step is one Arrow node on the way from a batch's column to a leaf's values.
// Dictionaries and run-end encodings are no steps: they may wrap any node and
// are taken off when met.
type step struct {
	kind     stepKind
	optional bool
	child    int // of a struct: which field leads on
	size     int // of a fixed-size list: its length
	path     string
}

// leaf is one Parquet column.
type leaf struct {
	leafType
	path   []string
	name   string // path with dots, for people
	field  int    // the batch's column that it comes from
	steps  []step
	maxDef uint8
	maxRep uint8
	flat   bool // the batch's column is the leaf itself
	// plain says that readers fail on other encodings than PLAIN and
	// RLE_DICTIONARY here.
	plain bool
}

// schemaTree is an Arrow schema as Parquet has it.
type schemaTree struct {
	elements []schemaElement // without the root
	top      int             // children of the root
	leaves   []*leaf
}

// levelLimit bounds nesting: a level must fit in seven bits here.
const levelLimit = 127

func newSchemaTree(schema *arrow.Schema) (*schemaTree, error) {
	if schema.NumFields() == 0 {
		return nil, fmt.Errorf("a Parquet file needs a column, and the schema has none")
	}
	t := &schemaTree{top: schema.NumFields()}
	for i, f := range schema.Fields() {
		b := branch{field: i}
		if err := t.add(f, f.Name, b); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// branch is what is known above a node.
type branch struct {
	field int
	path  []string
	steps []step
	def   int
	rep   int
}

// under is the branch of a child, with slices of its own.
func (b branch) under(name string) branch {
	b.path = append(append([]string(nil), b.path...), name)
	b.steps = append([]step(nil), b.steps...)
	return b
}

// unwrapped takes extension, dictionary and run-end wrappers off a type.
func unwrapped(dt arrow.DataType) arrow.DataType {
	for {
		switch t := dt.(type) {
		case arrow.ExtensionType:
			dt = t.StorageType()
		case *arrow.DictionaryType:
			dt = t.ValueType
		case *arrow.RunEndEncodedType:
			dt = t.Encoded()
		default:
			return dt
		}
	}
}

// wrapped tells whether the values of a type lie in another array.
func wrapped(dt arrow.DataType) bool {
	for {
		switch t := dt.(type) {
		case arrow.ExtensionType:
			dt = t.StorageType()
		case *arrow.DictionaryType, *arrow.RunEndEncodedType:
			return true
		default:
			return false
		}
	}
}

// hasDictionary tells whether a dictionary is among the wrappers of a type.
func hasDictionary(dt arrow.DataType) bool {
	for {
		switch t := dt.(type) {
		case arrow.ExtensionType:
			dt = t.StorageType()
		case *arrow.DictionaryType:
			return true
		case *arrow.RunEndEncodedType:
			dt = t.Encoded()
		default:
			return false
		}
	}
}

// fieldIDKey is the key under which Arrow keeps the field ids of Parquet.
const fieldIDKey = "PARQUET:field_id"

func fieldID(f arrow.Field) int32 {
	if s, ok := f.Metadata.GetValue(fieldIDKey); ok {
		if id, err := strconv.ParseInt(s, 10, 32); err == nil && id >= 0 {
			return int32(id)
		}
	}
	return -1
}

// extensionName is the name of a field's extension type, also when this program
// does not know the extension and Arrow gave it as metadata.
func extensionName(f arrow.Field) string {
	if x, ok := f.Type.(arrow.ExtensionType); ok {
		return x.ExtensionName()
	}
	name, _ := f.Metadata.GetValue("ARROW:extension:name")
	return name
}

// add appends the elements of one field, which is called name in the file.
func (t *schemaTree) add(f arrow.Field, name string, above branch) error {
	b := above.under(name)
	dotted := strings.Join(b.path, ".")
	dt := unwrapped(f.Type)
	refuse := func(reason string) error {
		return &UnsupportedTypeError{Column: dotted, Type: f.Type, Reason: reason}
	}
	if len(b.path) > levelLimit || b.def+2 > levelLimit || b.rep+1 > levelLimit {
		return refuse("it is nested too deep")
	}
	_, isNull := dt.(*arrow.NullType)
	nullable := f.Nullable || isNull
	e := schemaElement{name: name, repetition: required, fieldID: fieldID(f)}
	if nullable {
		e.repetition = optional
		b.def++
	}
	s := step{optional: nullable, path: dotted}
	list := func(kind stepKind, element arrow.Field) error {
		s.kind = kind
		b.steps = append(b.steps, s)
		b.def, b.rep = b.def+1, b.rep+1
		e.children, e.annotation = 1, annotation{converted: convertedList, logical: logicalList}
		t.elements = append(t.elements, e, schemaElement{name: "list", repetition: repeated, children: 1, fieldID: -1})
		return t.add(element, "element", b.under("list"))
	}
	switch n := dt.(type) {
	case *arrow.StructType:
		if n.NumFields() == 0 {
			return refuse("a struct without fields has no Parquet form; give it a field")
		}
		e.children = n.NumFields()
		t.elements = append(t.elements, e)
		for i, child := range n.Fields() {
			s.kind, s.child = stepStruct, i
			c := b
			c.steps = append(append([]step(nil), b.steps...), s)
			if err := t.add(child, child.Name, c); err != nil {
				return err
			}
		}
		return nil
	case *arrow.MapType:
		s.kind = stepList
		b.steps = append(b.steps, s)
		b.def, b.rep = b.def+1, b.rep+1
		e.children, e.annotation = 1, annotation{converted: convertedMap, logical: logicalMap}
		t.elements = append(t.elements, e, schemaElement{name: "key_value", repetition: repeated, children: 2, fieldID: -1})
		// The entries are a struct that is never null; keys are never null either.
		key, item := n.KeyField(), n.ItemField()
		key.Nullable = false
		for i, child := range []arrow.Field{key, item} {
			c := b.under("key_value")
			c.steps = append(c.steps, step{kind: stepStruct, child: i, path: dotted})
			if err := t.add(child, []string{"key", "value"}[i], c); err != nil {
				return err
			}
		}
		return nil
	case *arrow.ListType:
		return list(stepList, n.ElemField())
	case *arrow.LargeListType:
		return list(stepLargeList, n.ElemField())
	case *arrow.ListViewType:
		return list(stepListView, n.ElemField())
	case *arrow.LargeListViewType:
		return list(stepLargeListView, n.ElemField())
	case *arrow.FixedSizeListType:
		s.size = int(n.Len())
		return list(stepFixedList, n.ElemField())
	}
	lt, reason, ok := leafTypeOf(dt)
	if !ok {
		return refuse(reason)
	}
	switch ext := extensionName(f); {
	case ext == "arrow.uuid" && lt.phys == fixedBytes && lt.width == 16 && lt.annotation.logical == 0:
		lt.annotation = annotation{logical: logicalUUID}
	case ext == "arrow.json" && lt.text:
		lt.annotation = annotation{converted: convertedJSON, logical: logicalJSON}
	}
	s.kind = stepLeaf
	l := &leaf{
		leafType: lt,
		path:     b.path,
		name:     dotted,
		field:    b.field,
		steps:    append(b.steps, s),
		maxDef:   uint8(b.def),
		maxRep:   uint8(b.rep),
	}
	l.flat = len(l.steps) == 1
	// pyarrow (26) reads a dictionary of strings only from RLE_DICTIONARY and
	// PLAIN pages, and polars (2.1) loses count in delta pages of what is required
	// inside of something optional.
	l.plain = lt.phys == byteArray && hasDictionary(f.Type) || !nullable && b.def > 0
	e.leaf, e.annotation = l, lt.annotation
	t.elements = append(t.elements, e)
	t.leaves = append(t.leaves, l)
	return nil
}

// write appends FileMetaData.schema as field 2: the root, then all elements.
func (t *schemaTree) write(w *thriftWriter) {
	w.list(2, len(t.elements)+1, thriftStruct)
	w.element()
	w.text(4, "schema")
	w.i32(5, int32(t.top))
	w.end()
	for _, e := range t.elements {
		w.element()
		if e.leaf != nil {
			w.i32(1, int32(e.leaf.phys))
			if e.leaf.phys == fixedBytes {
				w.i32(2, int32(e.leaf.width))
			}
		}
		w.i32(3, int32(e.repetition))
		w.text(4, e.name)
		if e.leaf == nil {
			w.i32(5, int32(e.children))
		}
		e.annotation.write(w, e.fieldID)
		w.end()
	}
}
