package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// MaxEvent is the most bytes that one stored event may take; what is larger
// belongs in a blob.
const MaxEvent = 16 << 20

// schema is how events of one kind are stored. Any change to the fields of an
// event type is a new version: an older worker must refuse what it would
// understand by half.
type schema struct {
	version int
	event   reflect.Type
	blobs   bool // it may name blobs
	decode  func(data []byte) (Event, error)
}

// schemas has every event type. Decoding knows no other.
var schemas = map[Kind]schema{
	kindWorkerStarted:        stored[WorkerStarted](1),
	kindWorkerStopped:        stored[WorkerStopped](1),
	kindLanesOpened:          stored[LanesOpened](1),
	kindLanesForgotten:       stored[LanesForgotten](1),
	kindJobsForgotten:        stored[JobsForgotten](1),
	kindJournalRepaired:      stored[JournalRepaired](1),
	kindEnvironmentRequested: stored[EnvironmentRequested](1),
	kindEnvironmentReady:     stored[EnvironmentReady](1),
	kindEnvironmentFailed:    stored[EnvironmentFailed](1),
	kindEnvironmentEvicted:   stored[EnvironmentEvicted](1),
	kindJobAccepted:          stored[JobAccepted](2), // 1 has no lane: the first
	kindAttemptStarted:       stored[AttemptStarted](1),
	kindGuestStarted:         stored[GuestStarted](2), // 1 has no address: it cannot be reattached
	kindGuestReattached:      stored[GuestReattached](1),
	kindSinkChosen:           stored[SinkChosen](1),
	kindOutputCheckpointed:   stored[OutputCheckpointed](2), // 1 has no Whole
	kindOutputResumed:        stored[OutputResumed](1),
	kindOutputSetAside:       stored[OutputSetAside](1),
	kindAttemptInterrupted:   stored[AttemptInterrupted](1),
	kindOutputSealed:         stored[OutputSealed](1),
	kindAbortRequested:       stored[AbortRequested](1),
	kindJobConcluded:         stored[JobConcluded](2), // 1 had no At,
	kindReceiptSent:          stored[ReceiptSent](1),
	kindReceiptConfirmed:     stored[ReceiptConfirmed](1),
	kindReceiptUndelivered:   stored[ReceiptUndelivered](1),
}

func stored[E Event](version int) schema {
	return schema{
		version: version,
		event:   reflect.TypeFor[E](),
		blobs:   holds(reflect.TypeFor[E](), reflect.TypeFor[Digest]()),
		decode: func(data []byte) (Event, error) {
			var event E
			if err := decodeStrictly(data, &event); err != nil {
				return nil, err
			}
			return event, nil
		},
	}
}

// holds tells whether a type has a field of another one, however deep.
func holds(typ, field reflect.Type) bool {
	switch typ.Kind() {
	case reflect.Slice, reflect.Pointer, reflect.Map, reflect.Array:
		return holds(typ.Elem(), field)
	case reflect.Struct:
		for f := range typ.Fields() {
			if holds(f.Type, field) {
				return true
			}
		}
	}
	return typ == field
}

// decodeStrictly refuses unknown fields and anything behind the value.
func decodeStrictly(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the value")
	}
	return nil
}

// encodeEvent gives the stored form of an event, and the event as it will be read
// back from there. The journal goes on with the latter alone: so the live state
// is the state that a restart will find, and shares no memory with the caller.
func encodeEvent(event Event) (kind Kind, data []byte, decoded Event, err error) {
	if event == nil {
		return "", nil, nil, errors.New("no event given")
	}
	given := reflect.TypeOf(event)
	if given.Kind() == reflect.Pointer {
		return "", nil, nil, fmt.Errorf("events are values, %v is a pointer", given)
	}
	kind = event.kind()
	schema, known := schemas[kind]
	if !known || schema.event != given {
		return "", nil, nil, fmt.Errorf("%v is not an event type of the journal", given)
	}
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(event); err != nil {
		return "", nil, nil, fmt.Errorf("encode %s: %w", kind, err)
	}
	data = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if len(data) > MaxEvent {
		return "", nil, nil, fmt.Errorf("encode %s: %d bytes: %w", kind, len(data), ErrTooLarge)
	}
	decoded, err = schema.decode(data)
	if err != nil {
		return "", nil, nil, fmt.Errorf("encode %s: it does not read back: %w", kind, err)
	}
	return kind, data, decoded, nil
}

// references lists the blobs that an event needs to be stored.
func references(event Event) []Digest {
	var digest Digest
	switch e := event.(type) {
	case EnvironmentRequested:
		digest = e.Lockfile
	case JobAccepted:
		digest = e.Spec.Source
	}
	if digest == "" {
		return nil
	}
	return []Digest{digest}
}
