package parquet

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// lineage has one piece of each constant column, made once and sliced; a longer one
// when that is asked for.
type lineage struct {
	values   [2]int64
	constant [2]arrow.Array // nil before the first rows
}

func newLineage(jobID, fileVersionID int64) lineage {
	return lineage{values: [2]int64{jobID, fileVersionID}}
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
	if l.constant[0] == nil || l.constant[0].Len() < n {
		l.release()
		// Most jobs are small, and the pieces of a large one differ little in length.
		length := min(pieceRows, max(1<<7, 2*n))
		for i, value := range l.values {
			l.constant[i] = repeated(value, length)
		}
	}
	return []arrow.Array{array.NewSlice(l.constant[0], 0, int64(n)), array.NewSlice(l.constant[1], 0, int64(n))}
}

func (l *lineage) release() {
	for i, column := range l.constant {
		if column != nil {
			column.Release()
			l.constant[i] = nil
		}
	}
}
