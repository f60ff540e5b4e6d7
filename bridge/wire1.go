package bridge

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Version 1, guest to host, lengths big-endian:
//
//	LEN, LEN bytes                 one complete Arrow IPC stream for one publish
//	00000000                       end: the only proof of success
//	FFFFFFFF, LEN, LEN bytes UTF-8 error; the end frame still follows
const (
	endMark   = 0
	errorMark = 0xFFFFFFFF
	// longestErrorText is what is kept of an error's text. The rest is read and
	// thrown away.
	longestErrorText = 1 << 20
)

// readVersion1 reads frames until the end frame (nil) or a failure. first is the
// first number on the connection, read already to tell the version. each gives
// up or keeps the batches it is called with.
func readVersion1(r io.Reader, first uint32, pool *framePool, limit int64, each func(arrow.RecordBatch) error) error {
	for mark := first; ; {
		switch mark {
		case endMark:
			return nil
		case errorMark:
			return readVersion1Error(r, limit)
		}
		if int64(mark) > limit {
			return frameTooLarge(int64(mark), limit)
		}
		frame, err := pool.read(r, int(mark))
		if err != nil {
			return err
		}
		if err := decodeFrame(frame, each); err != nil {
			return err
		}
		if mark, err = readNumber(r); err != nil {
			return err
		}
	}
}

// decodeFrame turns what is wrong with a stream into a protocol violation, and
// leaves the errors of each as they are.
func decodeFrame(frame *memory.Buffer, each func(arrow.RecordBatch) error) error {
	var own error
	err := decodeStream(frame, func(batch arrow.RecordBatch) error {
		own = each(batch)
		return own
	})
	if err == nil || own != nil {
		return err
	}
	return &GuestError{Kind: ProtocolViolation, Err: err}
}

func readVersion1Error(r io.Reader, limit int64) error {
	length, err := readNumber(r)
	if err != nil {
		return err
	}
	if int64(length) > limit {
		return frameTooLarge(int64(length), limit)
	}
	kept := make([]byte, min(length, longestErrorText))
	if _, err := io.ReadFull(r, kept); err != nil {
		return unexpectedEnd(err)
	}
	if _, err := io.CopyN(io.Discard, r, int64(length)-int64(len(kept))); err != nil {
		return unexpectedEnd(err)
	}
	// The shim sends the end frame as well. Waiting for it spares the shim a broken
	// pipe, and its output a traceback of that; what comes does not matter.
	_, _ = readNumber(r)
	return pluginErrorFromText(strings.ToValidUTF8(string(kept), "\uFFFD"))
}

// pluginErrorFromText: a shim sends either a message, or a whole traceback whose
// last line is the message.
func pluginErrorFromText(text string) *PluginError {
	trimmed := strings.TrimSpace(text)
	if !strings.Contains(trimmed, "Traceback (most recent call last):") {
		return &PluginError{Message: trimmed}
	}
	lines := strings.Split(trimmed, "\n")
	return &PluginError{Message: lines[len(lines)-1], Traceback: text}
}

func readNumber(r io.Reader) (uint32, error) {
	var buf [4]byte
	if _, err := io.ReadFull(r, buf[:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(buf[:]), nil
}

// unexpectedEnd marks an end of file that is in the middle of something.
func unexpectedEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
