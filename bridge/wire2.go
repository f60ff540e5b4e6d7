package bridge

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// See the package comment for the layout of version 2.
const (
	magic          = 0xF5435350
	currentVersion = 2
	headerSize     = 8
	batchHead      = 16      // serial, topic id, zero: 16 bytes
	longestControl = 1 << 20 // bytes of a JSON frame
	longestHello   = 4 << 10 // it comes from somebody who is not trusted yet
	longestTopic   = 1 << 10 // bytes of a topic's name or default URI
	mostTopics     = 10_000
)

type frameType byte

const (
	frameHello    frameType = 1
	frameTopic    frameType = 2
	frameBatch    frameType = 3
	frameProgress frameType = 4
	frameLog      frameType = 5
	frameEnd      frameType = 6
	frameError    frameType = 7

	frameJob     frameType = 64
	frameSource  frameType = 65
	frameAck     frameType = 66
	frameResume  frameType = 67
	frameDurable frameType = 68
	frameBye     frameType = 69
)

type (
	helloFrame struct {
		Token  string `json:"token"`
		PID    int    `json:"pid"`
		Python string `json:"python"`
		// Resume is there when the guest was with another worker before.
		Resume *resumeFrame `json:"resume"`
	}
	topicFrame struct {
		ID         uint32 `json:"id"`
		Name       string `json:"name"`
		DefaultURI string `json:"default_uri"`
	}
	progressFrame struct {
		Note string `json:"note"`
	}
	logFrame struct {
		Message string `json:"message"`
	}
	endFrame struct {
		Batches uint64 `json:"batches"`
		Rows    int64  `json:"rows"`
		// Imports are what the plugin imported from the environment's packages, when
		// the job asked for them.
		Imports []string `json:"imports"`
	}
	errorFrame struct {
		Type      string `json:"type"`
		Message   string `json:"message"`
		Traceback string `json:"traceback"`
	}
	jobFrame struct {
		JobID         uint64 `json:"job_id"`
		FileVersionID int64  `json:"file_version_id"`
		// Path is bytes, since a file's name need not be UTF-8. JSON has it in base64.
		Path       []byte   `json:"path"`
		Plugin     string   `json:"plugin"`
		Topics     []string `json:"topics"`
		Window     int      `json:"window"`
		SliceRows  int      `json:"slice_rows"`
		SliceBytes int      `json:"slice_bytes"`
		FrameBytes int64    `json:"frame_bytes"`
		Learn      bool     `json:"learn"` // the imports
		// Patience is how long to wait for another worker when this one dies; 0 = not.
		// Until then the guest keeps as many bytes of batches that are not durable.
		Patience   int64 `json:"patience_ms"`
		KeepMemory int64 `json:"keep_memory"`
		KeepDisk   int64 `json:"keep_disk"`
		// KeepLate is how long a guest keeps no more than fits into memory, of which it has
		// KeepLittle bytes at first.
		KeepLate   int64  `json:"keep_late_ms"`
		KeepLittle int64  `json:"keep_little"`
		Folder     []byte `json:"folder"` // of what is kept on the disk
	}
)

func readHeader(r io.Reader) (frameType, int64, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, 0, err
	}
	if header[1]|header[2]|header[3] != 0 {
		return 0, 0, violation("a frame header with reserved bytes set")
	}
	return frameType(header[0]), int64(binary.BigEndian.Uint32(header[4:])), nil
}

// readControl reads a JSON body. Unknown fields are left for later versions.
func readControl(r io.Reader, kind frameType, length, limit int64, into any) error {
	if length > limit {
		return frameTooLarge(length, limit)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return unexpectedEnd(err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return &GuestError{Kind: ProtocolViolation, Detail: fmt.Sprintf("the body of frame type %d", kind), Err: err}
	}
	return nil
}

func writeFrame(w io.Writer, kind frameType, body []byte) error {
	header := make([]byte, headerSize, headerSize+min(len(body), 64<<10))
	header[0] = byte(kind)
	binary.BigEndian.PutUint32(header[4:], uint32(len(body)))
	if len(body) <= 64<<10 {
		_, err := w.Write(append(header, body...))
		return err
	}
	if _, err := w.Write(header); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

func writeControl(w io.Writer, kind frameType, value any) error {
	body, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return writeFrame(w, kind, body)
}

// received is one batch as it came in, before it is handed to the host's caller.
type received struct {
	serial uint64
	topic  topicFrame
	record arrow.RecordBatch
	bytes  int64
}

// version2 reads the frames of a guest that has said hello.
type version2 struct {
	in     io.Reader
	pool   *framePool
	limit  int64 // bytes of a frame
	topics map[uint32]topicFrame
	serial uint64
	rows   int64
	// imports is what the end frame says.
	imports []string

	// batch takes a batch over. progress and log take what the guest says.
	batch    func(received) error
	progress func(note string)
	log      func(message string)
}

// read reads frames until END with true counts (nil) or a failure.
func (v *version2) read() error {
	v.topics = make(map[uint32]topicFrame)
	for {
		kind, length, err := readHeader(v.in)
		if err != nil {
			return err
		}
		switch kind {
		case frameBatch:
			err = v.readBatch(length)
		case frameTopic:
			err = v.readTopic(length)
		case frameProgress:
			var frame progressFrame
			if err = readControl(v.in, kind, length, longestControl, &frame); err == nil {
				v.progress(frame.Note)
			}
		case frameLog:
			var frame logFrame
			if err = readControl(v.in, kind, length, longestControl, &frame); err == nil {
				v.log(frame.Message)
			}
		case frameEnd:
			return v.readEnd(length)
		case frameError:
			var frame errorFrame
			if err = readControl(v.in, kind, length, longestControl, &frame); err == nil {
				return &PluginError{Type: frame.Type, Message: frame.Message, Traceback: frame.Traceback}
			}
		default:
			err = violation("frame type %d", kind)
		}
		if err != nil {
			return err
		}
	}
}

func (v *version2) readTopic(length int64) error {
	var frame topicFrame
	if err := readControl(v.in, frameTopic, length, longestControl, &frame); err != nil {
		return err
	}
	_, taken := v.topics[frame.ID]
	switch {
	case frame.ID == 0 || taken:
		return violation("topic id %d is taken", frame.ID)
	case frame.Name == "" || len(frame.Name) > longestTopic || len(frame.DefaultURI) > longestTopic:
		return violation("a topic with a name of %d bytes and a URI of %d", len(frame.Name), len(frame.DefaultURI))
	case len(v.topics) >= mostTopics:
		return violation("more than %d topics", mostTopics)
	}
	v.topics[frame.ID] = frame
	return nil
}

func (v *version2) readBatch(length int64) error {
	if length < batchHead {
		return violation("a batch frame of %d bytes", length)
	}
	if length > v.limit {
		return frameTooLarge(length, v.limit)
	}
	var head [batchHead]byte
	if _, err := io.ReadFull(v.in, head[:]); err != nil {
		return unexpectedEnd(err)
	}
	serial := binary.BigEndian.Uint64(head[:])
	topicID := binary.BigEndian.Uint32(head[8:])
	topic, known := v.topics[topicID]
	if serial != v.serial+1 {
		return violation("batch %d after batch %d", serial, v.serial)
	}
	if topicID != 0 && !known {
		return violation("batch %d is of topic %d, which nobody registered", serial, topicID)
	}
	frame, err := v.pool.read(v.in, int(length)-batchHead)
	if err != nil {
		return err
	}
	var record arrow.RecordBatch
	err = decodeFrame(frame, func(batch arrow.RecordBatch) error {
		if record != nil {
			batch.Release()
			return violation("batch frame %d carries more than one batch", serial)
		}
		record = batch
		return nil
	})
	if err == nil && record == nil {
		err = violation("batch frame %d carries no rows", serial)
	}
	if err != nil {
		if record != nil {
			record.Release()
		}
		var failure *GuestError
		if errors.As(err, &failure) && failure.Detail == "" {
			failure.Detail = fmt.Sprintf("batch %d", serial)
		}
		return err
	}
	v.serial = serial
	v.rows += record.NumRows()
	return v.batch(received{serial: serial, topic: topic, record: record, bytes: length})
}

func (v *version2) readEnd(length int64) error {
	var frame endFrame
	if err := readControl(v.in, frameEnd, length, longestControl, &frame); err != nil {
		return err
	}
	if frame.Batches != v.serial || frame.Rows != v.rows {
		return violation("the guest counts %d batches with %d rows, %d with %d came in",
			frame.Batches, frame.Rows, v.serial, v.rows)
	}
	v.imports = frame.Imports
	return nil
}

// oneLine makes a note fit for a log.
func oneLine(text string) string {
	return strings.Join(strings.Fields(text), " ")
}
