package sink

import (
	"net/url"
	"sort"
	"strings"
)

// URI is a sink's address, taken apart:
//
//	scheme://PATH?name=value&name=value
//
// PATH is everything between "://" and the first "?" (what Python's urlparse
// calls netloc and path together), percent-decoded. A "%" that two hexadecimal
// digits do not follow stands for itself, as in Python's unquote.
type URI struct {
	Raw     string
	Scheme  string // lower case, empty when there is none
	Path    string // decoded, leading slashes kept
	Options url.Values
}

// ParseURI takes a sink's address apart. A query that cannot be read is an
// [*OptionError], a fragment a [*PathError]: the Sentinel's own parser would cut
// it off in silence.
func ParseURI(raw string) (URI, error) {
	uri := URI{Raw: raw}
	rest := raw
	if before, after, found := strings.Cut(raw, "://"); found && validScheme(before) {
		uri.Scheme, rest = strings.ToLower(before), after
	}
	rest, query, _ := strings.Cut(rest, "?")
	if strings.Contains(rest, "#") || strings.Contains(query, "#") {
		return URI{}, &PathError{Path: raw, Reason: `it holds a "#" (write %23 for a "#" in a name)`}
	}
	uri.Path = unquote(rest)
	options, err := url.ParseQuery(query)
	if err != nil {
		return URI{}, &OptionError{Option: query, Reason: "the query cannot be read: " + err.Error()}
	}
	uri.Options = options
	return uri, nil
}

// Only refuses every option whose name is not in known.
func (u URI) Only(known ...string) error {
	names := make([]string, 0, len(u.Options))
	for name := range u.Options {
		names = append(names, name)
	}
	sort.Strings(names)
next:
	for _, name := range names {
		for _, k := range known {
			if name == k {
				continue next
			}
		}
		return &OptionError{Option: name, Reason: "unknown option", Known: known}
	}
	return nil
}

// Choice gives the value of an option that must be one of known, in any case of
// letters; fallback when the option is not given.
func (u URI) Choice(option, fallback string, known ...string) (string, error) {
	values, given := u.Options[option]
	if !given {
		return fallback, nil
	}
	if len(values) > 1 {
		return "", &OptionError{Option: option, Value: strings.Join(values, ","), Reason: "given more than once"}
	}
	for _, k := range known {
		if strings.EqualFold(values[0], k) {
			return k, nil
		}
	}
	return "", &OptionError{Option: option, Value: values[0], Reason: "not a possible value", Known: known}
}

// validScheme is RFC 3986, section 3.1.
func validScheme(scheme string) bool {
	for i, c := range []byte(scheme) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return scheme != ""
}

func unquote(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			high, low := unhex(text[i+1]), unhex(text[i+2])
			if high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low))
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return string(out)
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// Quote percent-encodes a path for a URI exactly as Python's
// urllib.parse.quote does: letters, digits, "_.-~" and "/" stay.
func Quote(path string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for _, c := range []byte(path) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '_', c == '.', c == '-', c == '~', c == '/':
			out.WriteByte(c)
		default:
			out.WriteByte('%')
			out.WriteByte(digits[c>>4])
			out.WriteByte(digits[c&15])
		}
	}
	return out.String()
}
