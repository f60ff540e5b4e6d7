package parquet

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/casparian-flow/casparian-worker/sink"
)

// The lineage columns, appended last. A plugin's own columns of these names are
// dropped: they would make the file say two things about its origin.
const (
	jobIDColumn       = "_job_id"
	fileVersionColumn = "_file_version_id"
)

func reserved(column string) bool { return column == jobIDColumn || column == fileVersionColumn }

// fileSchema is the schema of one output, without the lineage columns. The first
// batch that has rows gives it; later ones may widen it until it is settled.
type fileSchema struct {
	columns []arrow.Field // declared
	index   map[string]int
	// settled: the types can no longer change, because rows were encoded with them.
	settled bool
	// A plugin sends the same schema again and again: the last one's answer is kept.
	last     *arrow.Schema
	lastPick []int
}

func (s *fileSchema) empty() bool { return s.index == nil }

// accept takes note of a batch's schema and gives, for each column of the
// output, the number of the batch's column that it comes from.
func (s *fileSchema) accept(batch *arrow.Schema, number int64) ([]int, error) {
	if s.last != nil && (s.last == batch || s.last.Equal(batch)) {
		return s.lastPick, nil
	}
	declared := make([]arrow.Field, 0, batch.NumFields())
	source := make(map[string]int, batch.NumFields())
	for i, field := range batch.Fields() {
		if reserved(field.Name) {
			continue
		}
		if _, twice := source[field.Name]; twice {
			return nil, &sink.SchemaError{Column: field.Name, Got: field.Type.String(), Have: field.Type.String(), Batch: number,
				Reason: "the batch has two columns of this name"}
		}
		source[field.Name] = i
		column, err := declareField(field, field.Name, 0)
		if err != nil {
			return nil, err
		}
		declared = append(declared, column)
	}
	if s.empty() {
		s.columns = declared
		s.index = make(map[string]int, len(declared))
		for i, column := range declared {
			s.index[column.Name] = i
		}
	} else if err := s.merge(declared, number); err != nil {
		return nil, err
	}
	pick := make([]int, len(s.columns))
	for i, column := range s.columns {
		pick[i] = source[column.Name]
	}
	s.last, s.lastPick = batch, pick
	return pick, nil
}

func (s *fileSchema) merge(declared []arrow.Field, number int64) error {
	there := make(map[string]bool, len(declared))
	for _, column := range declared {
		there[column.Name] = true
		i, known := s.index[column.Name]
		if !known {
			return &sink.SchemaError{Column: column.Name, Got: column.Type.String(), Batch: number}
		}
		have := s.columns[i].Type
		unified, ok := unify(have, column.Type)
		if !ok {
			return &sink.SchemaError{Column: column.Name, Have: have.String(), Got: column.Type.String(), Batch: number,
				Reason: difference(have, column.Type, column.Name)}
		}
		if !s.settled {
			s.columns[i].Type = unified
		}
	}
	for _, column := range s.columns {
		if !there[column.Name] {
			return &sink.SchemaError{Column: column.Name, Have: column.Type.String(), Batch: number}
		}
	}
	return nil
}

// difference says where two structs differ, which their types alone hide well.
func difference(have, got arrow.DataType, path string) string {
	switch h := have.(type) {
	case *arrow.StructType:
		g, is := got.(*arrow.StructType)
		if !is {
			return ""
		}
		for _, field := range h.Fields() {
			other, there := g.FieldByName(field.Name)
			if !there {
				return fmt.Sprintf("field %s.%s is missing", path, field.Name)
			}
			if _, ok := unify(field.Type, other.Type); !ok {
				if deeper := difference(field.Type, other.Type, path+"."+field.Name); deeper != "" {
					return deeper
				}
				return fmt.Sprintf("field %s.%s is %s and was %s before", path, field.Name, other.Type, field.Type)
			}
		}
		for _, field := range g.Fields() {
			if _, there := h.FieldByName(field.Name); !there {
				return fmt.Sprintf("field %s.%s is new", path, field.Name)
			}
		}
	case arrow.ListLikeType:
		if g, is := got.(arrow.ListLikeType); is {
			return difference(h.Elem(), g.Elem(), path+".element")
		}
	}
	return ""
}

// mayWiden tells whether batches are worth holding back.
func (s *fileSchema) mayWiden() bool {
	if s.settled {
		return false
	}
	for _, column := range s.columns {
		if unsettled(column.Type) {
			return true
		}
	}
	return false
}

// declared is the schema of the file, with the lineage columns.
func (s *fileSchema) declared() *arrow.Schema {
	return arrow.NewSchema(append(append([]arrow.Field{}, s.columns...), lineageFields()...), nil)
}

// plain is the schema of batches that are held back, with the lineage columns.
func (s *fileSchema) plain() *arrow.Schema {
	fields := make([]arrow.Field, 0, len(s.columns)+2)
	for _, column := range s.columns {
		column.Type = plainType(column.Type)
		fields = append(fields, column)
	}
	return arrow.NewSchema(append(fields, lineageFields()...), nil)
}

func lineageFields() []arrow.Field {
	return []arrow.Field{
		{Name: jobIDColumn, Type: arrow.PrimitiveTypes.Int64},
		{Name: fileVersionColumn, Type: arrow.PrimitiveTypes.Int64},
	}
}

// marshalSchema gives the encapsulated IPC schema message, without the end of
// stream, for checkpoints.
func marshalSchema(schema *arrow.Schema) ([]byte, error) {
	const endOfStream = 8
	var out bytes.Buffer
	writer := ipc.NewWriter(&out, ipc.WithSchema(schema))
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("serialize schema: %w", err)
	}
	return out.Bytes()[:out.Len()-endOfStream], nil
}

// unmarshalSchema is the inverse for the schema of an output whose rows are
// already encoded: it comes back settled.
func unmarshalSchema(message []byte) (*fileSchema, error) {
	reader, err := ipc.NewReader(bytes.NewReader(message))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	defer reader.Release()
	schema := &fileSchema{index: make(map[string]int), settled: true}
	for _, field := range reader.Schema().Fields() {
		if reserved(field.Name) {
			continue
		}
		column, err := declareField(field, field.Name, 0)
		if err != nil {
			return nil, err
		}
		schema.index[column.Name] = len(schema.columns)
		schema.columns = append(schema.columns, column)
	}
	return schema, nil
}
