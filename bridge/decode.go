package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// decodeStream reads one complete Arrow IPC stream that fills a frame, and calls
// each with every batch that has rows. The arrays are views of the frame: no
// value is copied. Each batch belongs to the callee and holds on to the frame
// until it is released. decodeStream gives up its own hold of the frame.
//
// An error is about the stream, unless it comes from each.
func decodeStream(frame *memory.Buffer, each func(arrow.RecordBatch) error) (err error) {
	messages := &frameMessages{frame: frame}
	defer messages.Release()
	defer func() {
		// Arrow's reader recovers from most of what a bad stream does to it; the
		// checks here are after it, and must not trust it either.
		if recovered := recover(); recovered != nil {
			err = fmt.Errorf("a bad Arrow stream: %v", recovered)
		}
	}()
	reader, err := ipc.NewReaderFromMessageReader(borrowed{messages})
	if err != nil {
		return messages.cause(err)
	}
	defer reader.Release()
	for reader.Next() {
		batch := reader.RecordBatch()
		if err := checkBatch(batch); err != nil {
			return fmt.Errorf("a bad Arrow stream: %w", err)
		}
		if batch.NumRows() == 0 {
			continue
		}
		batch.Retain()
		if err := each(batch); err != nil {
			return err
		}
	}
	if err := reader.Err(); err != nil {
		return messages.cause(err)
	}
	if !messages.ended {
		return errors.New("a bad Arrow stream: it stops before its end mark")
	}
	if rest := messages.left(); rest != 0 {
		return fmt.Errorf("a bad Arrow stream: %d bytes follow its end mark", rest)
	}
	return nil
}

func checkBatch(batch arrow.RecordBatch) error {
	if batch.NumRows() < 0 || batch.NumRows() > maxRows {
		return fmt.Errorf("a batch of %d rows", batch.NumRows())
	}
	for i, column := range batch.Columns() {
		name := batch.ColumnName(i)
		if int64(column.Len()) != batch.NumRows() {
			return fmt.Errorf("column %q has %d values in a batch of %d rows", name, column.Len(), batch.NumRows())
		}
		if err := checkArray(column.Data(), 0); err != nil {
			return fmt.Errorf("column %q: %w", name, err)
		}
	}
	return nil
}

// frameMessages cuts a frame into the messages of its stream. It implements
// ipc.MessageReader. Metadata is checked, and lengths are compared with what is
// left of the frame, before Arrow sees a message.
type frameMessages struct {
	frame   *memory.Buffer // given up by Release
	at      int
	ended   bool
	shape   shape
	current *ipc.Message
	err     error
}

// borrowed keeps Arrow's reader from releasing the messages: decodeStream does.
type borrowed struct{ *frameMessages }

func (borrowed) Retain()  {}
func (borrowed) Release() {}

func (m *frameMessages) left() int { return m.frame.Len() - m.at }

// cause prefers our own finding to Arrow's wrapping of it.
func (m *frameMessages) cause(err error) error {
	if m.err != nil {
		err = m.err
	}
	return fmt.Errorf("a bad Arrow stream: %w", err)
}

// Message gives the next message, valid until the next call, and io.EOF at the
// stream's end mark.
func (m *frameMessages) Message() (*ipc.Message, error) {
	m.dropCurrent()
	if m.ended {
		return nil, io.EOF
	}
	message, err := m.next()
	if err != nil && err != io.EOF {
		m.err = err
	}
	m.current = message
	return message, err
}

func (m *frameMessages) next() (*ipc.Message, error) {
	const continuation = 0xFFFFFFFF
	length, err := m.number()
	if err == nil && length == continuation {
		length, err = m.number()
	}
	if err != nil {
		return nil, err
	}
	if length == 0 {
		m.ended = true
		return nil, io.EOF
	}
	if length > maxMetadata || int(length) > m.left() {
		return nil, fmt.Errorf("a message announces metadata of %d bytes, %d are left in the frame", length, m.left())
	}
	described := m.frame.Bytes()[m.at : m.at+int(length)]
	checked, err := checkMetadata(described, int64(m.left()-int(length)), &m.shape)
	if err != nil {
		return nil, err
	}
	m.at += int(length)
	if m.at%8 != 0 && checked.bodyLength > 0 {
		return nil, fmt.Errorf("a message's body begins at %d, which is not aligned to 8 bytes", m.at)
	}
	body := memory.SliceBuffer(m.frame, m.at, int(checked.bodyLength))
	defer body.Release() // the message has its own hold
	m.at += int(checked.bodyLength)
	return ipc.NewMessage(memory.NewBufferBytes(described), body), nil
}

func (m *frameMessages) number() (uint32, error) {
	if m.left() < 4 {
		return 0, fmt.Errorf("the stream stops at byte %d, before its end mark", m.frame.Len())
	}
	n := binary.LittleEndian.Uint32(m.frame.Bytes()[m.at:])
	m.at += 4
	return n, nil
}

func (m *frameMessages) dropCurrent() {
	if m.current != nil {
		m.current.Release()
		m.current = nil
	}
}

// Retain and Release complete ipc.MessageReader; Release gives up the frame.
func (m *frameMessages) Retain() {}
func (m *frameMessages) Release() {
	m.dropCurrent()
	if m.frame != nil {
		m.frame.Release()
		m.frame = nil
	}
}
