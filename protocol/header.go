package protocol

import "encoding/binary"

// HeaderSize is the length of every header in bytes.
const HeaderSize = 16

// Header is the first frame of a message. On the wire it has 16 bytes in
// network byte order, `!BBHQI` in the words of Python's struct:
//
//	offset  size  field
//	0       1     version, always 4
//	1       1     opcode
//	2       2     reserved: 0 when sent, ignored when received
//	4       8     job id, 0 = about no job
//	12      4     payload length in bytes
type Header struct {
	Op     OpCode
	JobID  uint64
	Length uint32
}

// AppendBinary appends the 16 bytes of the header to b. It refuses an opcode
// that must not be sent (*InvalidOpCodeError).
func (h Header) AppendBinary(b []byte) ([]byte, error) {
	if !h.Op.Valid() {
		return b, &InvalidOpCodeError{Header: h}
	}
	b = append(b, Version, byte(h.Op), 0, 0)
	b = binary.BigEndian.AppendUint64(b, h.JobID)
	b = binary.BigEndian.AppendUint32(b, h.Length)
	return b, nil
}

// ParseHeader reads the header at the start of b and leaves the bytes behind it
// alone.
//
// Errors: *HeaderTooShortError, *VersionMismatchError, *InvalidOpCodeError. With
// the last one the header returned is filled in all the same, so that the
// caller can say what it skipped.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, &HeaderTooShortError{Got: len(b)}
	}
	if b[0] != Version {
		// Another version may lay out the other 15 bytes in another way.
		return Header{}, &VersionMismatchError{Got: b[0]}
	}
	h := Header{
		Op:     OpCode(b[1]),
		JobID:  binary.BigEndian.Uint64(b[4:12]),
		Length: binary.BigEndian.Uint32(b[12:16]),
	}
	if !h.Op.Valid() {
		return h, &InvalidOpCodeError{Header: h}
	}
	return h, nil
}
