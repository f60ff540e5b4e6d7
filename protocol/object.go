package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// object reads the fields of one JSON object by their exact names. Unknown
// fields are ignored; of a field that is there twice the last counts, as
// in Python's json. The first fault is kept, and whatever is read after it is
// zero.
type object struct {
	at     string // the path in front of field names, "sinks[1]."
	fields map[string]json.RawMessage
	fault  *fault
}

// readObject takes a whole payload.
func readObject(payload []byte) (*object, *fault) {
	trimmed := trimSpace(payload)
	if len(trimmed) == 0 {
		return nil, faultf("", "is empty, it must be a JSON object")
	}
	if f := survey(payload, 0); f != nil {
		return nil, f
	}
	o := &object{}
	err := json.Unmarshal(payload, &o.fields)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return nil, faultf("", "of %d bytes is not JSON: %s", len(payload), reasonOf(err))
	}
	if kind := kindOf(trimmed); err != nil || kind != "an object" {
		return nil, faultf("", "is %s, it must be an object", kind)
	}
	return o, nil
}

// trimSpace removes what JSON takes for white space, and nothing else.
func trimSpace(text []byte) []byte { return bytes.Trim(text, " \t\r\n") }

// open reads the fields of raw, which sits at path.
func (o *object) open(raw json.RawMessage, path string) {
	if kind := kindOf(raw); kind != "an object" {
		o.fault = faultf(path, "is %s, it must be an object", kind)
		return
	}
	if err := json.Unmarshal(raw, &o.fields); err != nil {
		o.fault = faultf(path, "cannot be read: %s", reasonOf(err))
	}
}

func reasonOf(err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("%v at byte %d", syntax, syntax.Offset)
	}
	return err.Error()
}

// kindOf says what a valid JSON value is, from its first byte.
func kindOf(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "missing"
	}
	switch raw[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	default:
		return "a number"
	}
}

// failed keeps the first fault.
func (o *object) failed(name, format string, args ...any) {
	if o.fault == nil {
		o.fault = faultf(o.at+clip(name), format, args...)
	}
}

// required finds a field that must be there with a value of the given kind.
func (o *object) required(name, kind string) (json.RawMessage, bool) {
	raw := o.fields[name]
	if o.fault != nil {
		return nil, false
	}
	if found := kindOf(raw); found != kind {
		o.failed(name, "is %s, it must be %s", found, kind)
		return nil, false
	}
	return raw, true
}

// text reads a string that must be there; it may be empty.
func (o *object) text(name string) string {
	raw, ok := o.required(name, "a string")
	if !ok {
		return ""
	}
	var value string
	if err := json.Unmarshal(raw, &value); err != nil {
		o.failed(name, "cannot be read: %s", reasonOf(err))
	}
	return value
}

// optionalText reads a string that may be missing or null.
func (o *object) optionalText(name string) string {
	if isNull(o.fields[name]) {
		return ""
	}
	return o.text(name)
}

func (o *object) boolean(name string) bool {
	raw, ok := o.required(name, "a boolean")
	return ok && string(raw) == "true"
}

func (o *object) int64(name string) int64 {
	raw, ok := o.required(name, "a number")
	if !ok {
		return 0
	}
	digits, reason := wholeNumber(raw)
	if reason != "" {
		o.failed(name, "%s", reason)
		return 0
	}
	value, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		o.failed(name, "is %s, beyond the 64 bits of an integer", clip(string(raw)))
		return 0
	}
	return value
}

func (o *object) optionalUint64(name string) *uint64 {
	if isNull(o.fields[name]) {
		return nil
	}
	raw, ok := o.required(name, "a number")
	if !ok {
		return nil
	}
	digits, reason := wholeNumber(raw)
	if reason != "" {
		o.failed(name, "%s", reason)
		return nil
	}
	value, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		o.failed(name, "is %s, it must lie between 0 and 2^64-1", clip(string(raw)))
		return nil
	}
	return &value
}

// wholeNumber gives the digits of a number that is an integer. 7 and 7.0 are the
// same: Python writes the second when a count went through a float. A float is
// only trusted up to 2^53, where it still tells one integer from the next, and
// never in exponent form, which Python uses from 1e16 on.
func wholeNumber(raw json.RawMessage) (digits, reason string) {
	literal := string(raw)
	if strings.ContainsAny(literal, "eE") {
		return "", "is " + clip(literal) + ", a float in exponent form, it must be an integer"
	}
	digits, fraction, isFloat := strings.Cut(literal, ".")
	if isFloat {
		if strings.Trim(fraction, "0") != "" {
			return "", "is " + clip(literal) + ", it must be an integer"
		}
		const exact = 1 << 53
		value, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || value > exact || value < -exact {
			return "", "is " + clip(literal) + ", a float beyond 2^53, which may stand for several integers"
		}
	}
	if digits == "-0" {
		digits = "0"
	}
	return digits, ""
}

// opaque keeps a field as compact JSON without looking into it; nil when it is
// missing or null.
func (o *object) opaque(name string) json.RawMessage {
	raw := o.fields[name]
	if isNull(raw) || o.fault != nil {
		return nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		o.failed(name, "cannot be read: %s", reasonOf(err))
		return nil
	}
	return compact.Bytes()
}

// list reads a list that must be there. It is never nil.
func (o *object) list(name string) []json.RawMessage {
	items := []json.RawMessage{}
	if raw, ok := o.required(name, "a list"); ok {
		if err := json.Unmarshal(raw, &items); err != nil {
			o.failed(name, "cannot be read: %s", reasonOf(err))
		}
	}
	return items
}

// texts reads a list of strings that must be there.
func (o *object) texts(name string) []string {
	items := o.list(name)
	texts := make([]string, 0, len(items))
	for i, raw := range items {
		item := &object{at: o.at, fields: map[string]json.RawMessage{indexed(name, i): raw}}
		texts = append(texts, item.text(indexed(name, i)))
		o.adopt(item)
	}
	return texts
}

// objects reads a list of objects that must be there, each with one function.
func (o *object) objects(name string, each func(*object)) {
	for i, raw := range o.list(name) {
		path := o.at + indexed(name, i)
		item := &object{at: path + "."}
		item.open(raw, path)
		if item.fault == nil {
			each(item)
		}
		o.adopt(item)
		if o.fault != nil {
			return
		}
	}
}

// object reads an object that must be there, as itself.
func (o *object) object(name string) *object {
	inner := &object{at: o.at + name + "."}
	if raw, ok := o.required(name, "an object"); ok {
		inner.open(raw, o.at+name)
	}
	return inner
}

// names lists the fields in alphabetic order, so that of several faults the same
// one is reported each time.
func (o *object) names() []string { return slices.Sorted(maps.Keys(o.fields)) }

// adopt takes over the fault of an object read inside of this one.
func (o *object) adopt(inner *object) {
	if o.fault == nil {
		o.fault = inner.fault
	}
}

func indexed(name string, i int) string { return name + "[" + strconv.Itoa(i) + "]" }
