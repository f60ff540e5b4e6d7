package protocol

import (
	"encoding/hex"
	"encoding/json"
	"unicode/utf8"
)

// maxDepth bounds how deep objects and arrays may nest in a payload. The
// protocol's own fields need 3; the rest is room for what only passes through.
const maxDepth = 256

// survey looks over a whole JSON text for what Go's decoder would let pass or
// would alter in silence: bytes that are not UTF-8, surrogate escapes without
// their other half, and nesting beyond [maxDepth]. The text sits depth objects
// and arrays deep in its payload. Whether it is JSON at all is for the decoder to
// find; on text that is none, survey may find nothing.
//
// A lone surrogate is refused anywhere: no UTF-8 text can hold it, and a
// replaced character would be another file name. Python's json writes one for
// a file name that is not UTF-8; pydantic, which writes a Sentinel's messages,
// refuses to.
func survey(text []byte, depth int) *fault {
	if !utf8.Valid(text) {
		return faultf("", "is not UTF-8 at byte %d", invalidAt(text))
	}
	inString := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		if inString {
			switch c {
			case '"':
				inString = false
			case '\\':
				width, whole := escapeAt(text[i:])
				if !whole {
					return faultf("", "has half of a surrogate pair at byte %d: it stands for no character", i)
				}
				i += width - 1
			}
			continue
		}
		switch c {
		case '"':
			inString = true
		case '{', '[':
			if depth++; depth > maxDepth {
				return faultf("", "nests deeper than %d at byte %d", maxDepth, i)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// escapeAt measures the escape at the start of text, in bytes. It is not whole
// when it is one half of a surrogate pair.
func escapeAt(text []byte) (width int, whole bool) {
	unit, ok := codeUnit(text)
	if !ok || unit < 0xd800 || unit > 0xdfff {
		return 2, true
	}
	if unit >= 0xdc00 {
		return 6, false
	}
	low, ok := codeUnit(text[6:])
	return 12, ok && low >= 0xdc00 && low <= 0xdfff
}

// codeUnit reads \uXXXX at the start of text.
func codeUnit(text []byte) (unit uint16, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	var b [2]byte
	if _, err := hex.Decode(b[:], text[2:6]); err != nil {
		return 0, false
	}
	return uint16(b[0])<<8 | uint16(b[1]), true
}

func invalidAt(text []byte) int {
	for i := 0; i < len(text); {
		r, width := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && width == 1 {
			return i
		}
		i += width
	}
	return len(text)
}

// isNull reports whether a field is absent or null, which are the same.
func isNull(raw json.RawMessage) bool {
	return raw == nil || string(raw) == "null"
}
