package ops

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written like 64KiB, 1.5GiB, 10MB or 1048576.
type Size int64

// Period is a span of time, written like 30s or 1h30m; 0 needs no unit.
type Period time.Duration

// Places is a number of places, 0 written as off.
type Places int

// List is a list of names, written a,b,c.
type List []string

var units = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// Set parses a size. It serves flags and, as Decode, variables.
func (s *Size) Set(text string) error {
	for _, unit := range units {
		number, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || n < 0 || n*unit.bytes > math.MaxInt64/2 {
			break
		}
		*s = Size(n * unit.bytes)
		return nil
	}
	return errors.New("must be a size, such as 64MiB or 20GiB")
}

func (s *Size) Decode(text string) error { return s.Set(text) }
func (s *Size) Type() string             { return "size" }

func (s Size) String() string {
	for i := 3; i >= 0; i-- {
		if unit := Size(units[i].bytes); s >= unit && s%(unit/1024) == 0 && s != 0 {
			return strconv.FormatFloat(float64(s)/units[i].bytes, 'f', -1, 64) + units[i].suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func (p *Period) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return errors.New("must be a span of time, such as 30s or 5m")
	}
	*p = Period(d)
	return nil
}

func (p *Period) Decode(text string) error { return p.Set(text) }
func (p *Period) Type() string             { return "time" }

func (p Period) String() string {
	s := time.Duration(p).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (p *Places) Set(text string) error {
	n, err := strconv.Atoi(text)
	if text == "off" {
		n, err = 0, nil
	}
	if err != nil || n < 0 {
		return errors.New("must be a whole number, or off")
	}
	*p = Places(n)
	return nil
}

func (p *Places) Decode(text string) error { return p.Set(text) }
func (p *Places) Type() string             { return "number" }

func (p Places) String() string {
	if p == 0 {
		return "off"
	}
	return strconv.Itoa(int(p))
}

func (l *List) Set(text string) error {
	*l = nil
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); name != "" {
			*l = append(*l, name)
		}
	}
	return nil
}

func (l *List) Decode(text string) error { return l.Set(text) }
func (l *List) Type() string             { return "names" }
func (l List) String() string            { return strings.Join(l, ",") }

// Switch is on or off. As a flag it needs no value to be on.
type Switch bool

func (s *Switch) Set(text string) error {
	on, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("must be true or false")
	}
	*s = Switch(on)
	return nil
}

func (s *Switch) Decode(text string) error { return s.Set(text) }
func (s *Switch) Type() string             { return "switch" }
func (s Switch) String() string            { return strconv.FormatBool(bool(s)) }

// Secret is a text that is never shown. It has a variable and no flag: other users
// of the machine can see the flags of a process.
type Secret string

func (s *Secret) Set(text string) error    { *s = Secret(strings.TrimSpace(text)); return nil }
func (s *Secret) Decode(text string) error { return s.Set(text) }
func (s *Secret) Type() string             { return "secret" }

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// number and text give plain fields the same form as the types above.
type number[T int | int64] struct{ to *T }

func (n number[T]) Set(text string) error {
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return errors.New("must be a whole number")
	}
	*n.to = T(v)
	return nil
}
func (n number[T]) Type() string   { return "number" }
func (n number[T]) String() string { return fmt.Sprint(*n.to) }

type text struct{ to *string }

func (t text) Set(s string) error { *t.to = s; return nil }
func (t text) Type() string       { return "text" }
func (t text) String() string     { return *t.to }
