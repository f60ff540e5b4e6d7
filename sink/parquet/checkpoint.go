package parquet

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A checkpoint is a block in the staged file, right behind the row groups that
// it describes. Row groups and checkpoint become durable with one fsync, and the
// token that goes to the journal stays small: each checkpoint holds only what is
// new and the offset of the one before.
//
// In the finished file the checkpoints are bytes that nothing refers to: readers
// go by the offsets in the footer. They take about as much room as the footer.
//
//	"CWCP" | length of the body (u32 LE) | body (JSON) | CRC-32C of the body (u32 LE)
type checkpoint struct {
	Previous int64      `json:"previous"`         // offset of the one before, 0 for none
	Schema   []byte     `json:"schema,omitempty"` // IPC schema message; in the first only
	Groups   []rowGroup `json:"groups"`
}

const (
	checkpointMagic = "CWCP"
	checkpointHead  = 8
	checkpointFoot  = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c *checkpoint) marshal() (block []byte, checksum uint32, err error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, 0, err
	}
	checksum = crc32.Checksum(body, castagnoli)
	block = append(block, checkpointMagic...)
	block = binary.LittleEndian.AppendUint32(block, uint32(len(body)))
	block = append(block, body...)
	return binary.LittleEndian.AppendUint32(block, checksum), checksum, nil
}

var errBadCheckpoint = errors.New("no whole checkpoint")

// readCheckpoint reads the block at an offset. end is where the durable part of
// the file ends; a block must not reach beyond it.
func readCheckpoint(file io.ReaderAt, offset, end int64) (c checkpoint, next int64, checksum uint32, err error) {
	fail := func(reason error) (checkpoint, int64, uint32, error) {
		return checkpoint{}, 0, 0, fmt.Errorf("%w at offset %d: %w", errBadCheckpoint, offset, reason)
	}
	var head [checkpointHead]byte
	if _, err := file.ReadAt(head[:], offset); err != nil {
		return fail(err)
	}
	length := int64(binary.LittleEndian.Uint32(head[len(checkpointMagic):]))
	next = offset + checkpointHead + length + checkpointFoot
	if string(head[:len(checkpointMagic)]) != checkpointMagic || next > end {
		return fail(errors.New("the bytes there are something else"))
	}
	block := make([]byte, length+checkpointFoot)
	if _, err := file.ReadAt(block, offset+checkpointHead); err != nil {
		return fail(err)
	}
	body := block[:length]
	checksum = crc32.Checksum(body, castagnoli)
	if checksum != binary.LittleEndian.Uint32(block[length:]) {
		return fail(errors.New("its checksum is wrong"))
	}
	if err := json.Unmarshal(body, &c); err != nil {
		return fail(err)
	}
	return c, next, checksum, nil
}

// readCheckpoints follows the chain from the last checkpoint to the first, and
// gives schema and row groups of the file up to end.
func readCheckpoints(file io.ReaderAt, token flushed) (schema []byte, groups []rowGroup, err error) {
	var chain []checkpoint
	for offset, end := token.Checkpoint, token.End; offset != 0; {
		c, next, checksum, err := readCheckpoint(file, offset, end)
		if err != nil {
			return nil, nil, err
		}
		if offset == token.Checkpoint && (checksum != token.Checksum || next != token.End) {
			return nil, nil, fmt.Errorf("%w at offset %d: it is another one than the token's", errBadCheckpoint, offset)
		}
		if c.Previous < 0 || c.Previous >= offset {
			return nil, nil, fmt.Errorf("%w at offset %d: it does not point back", errBadCheckpoint, offset)
		}
		chain = append(chain, c)
		end, offset = offset, c.Previous
	}
	for i := len(chain) - 1; i >= 0; i-- {
		if chain[i].Schema != nil {
			schema = chain[i].Schema
		}
		groups = append(groups, chain[i].Groups...)
	}
	at, rows := int64(len(magic)), int64(0)
	for i, group := range groups {
		if group.Start < at || group.Length < 0 || group.Rows <= 0 || group.Start+group.Length > token.End {
			return nil, nil, fmt.Errorf("row group %d lies at %d, %d bytes: impossible", i, group.Start, group.Length)
		}
		if _, err := group.described(); err != nil {
			return nil, nil, fmt.Errorf("row group %d: %w", i, err)
		}
		at = group.Start + group.Length
		rows += group.Rows
	}
	if schema == nil || rows != token.Rows {
		return nil, nil, fmt.Errorf("the checkpoints tell of %d rows and the token of %d", rows, token.Rows)
	}
	return schema, groups, nil
}
