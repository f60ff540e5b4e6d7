package parquet

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// lineage has one piece of each constant column, made once and sliced.
type lineage struct{ constant [2]arrow.Array }

func newLineage(jobID, fileVersionID int64) lineage {
	return lineage{[2]arrow.Array{repeated(jobID, pieceRows), repeated(fileVersionID, pieceRows)}}
}

func repeated(value int64, n int) arrow.Array {
	values := make([]int64, n)
	for i := range values {
		values[i] = value
	}
	bytes := memory.NewBufferBytes(arrow.Int64Traits.CastToBytes(values))
	return assemble(arrow.PrimitiveTypes.Int64, n, 0, []*memory.Buffer{nil, bytes}, nil)
}

// columns gives n rows of each, at most pieceRows, for the caller to release.
func (l *lineage) columns(n int) []arrow.Array {
	return []arrow.Array{array.NewSlice(l.constant[0], 0, int64(n)), array.NewSlice(l.constant[1], 0, int64(n))}
}

func (l *lineage) release() {
	for _, column := range l.constant {
		column.Release()
	}
}
