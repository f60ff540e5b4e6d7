package curve

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// z85 are the 85 digits of https://rfc.zeromq.org/spec/32/, in order of their value.
const z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// encodeZ85 writes every four bytes, a number in network order, as five digits.
// The length of data is a multiple of four.
func encodeZ85(data []byte) string {
	text := make([]byte, 0, len(data)/4*5)
	for ; len(data) > 0; data = data[4:] {
		n := binary.BigEndian.Uint32(data)
		for _, place := range [...]uint32{85 * 85 * 85 * 85, 85 * 85 * 85, 85 * 85, 85, 1} {
			text = append(text, z85[n/place%85])
		}
	}
	return string(text)
}

// decodeZ85 fills data, whose length is a multiple of four.
func decodeZ85(data []byte, text string) error {
	if want := len(data) / 4 * 5; len(text) != want {
		return fmt.Errorf("it has %d characters", len(text))
	}
	for i := 0; i < len(text); i += 5 {
		n := uint64(0)
		for j := i; j < i+5; j++ {
			digit := strings.IndexByte(z85, text[j])
			if digit < 0 {
				return fmt.Errorf("its character %d is not of Z85", j+1)
			}
			n = n*85 + uint64(digit)
		}
		if n > math.MaxUint32 {
			return fmt.Errorf("its characters %d to %d are beyond the range", i+1, i+5)
		}
		binary.BigEndian.PutUint32(data[i/5*4:], uint32(n))
	}
	return nil
}
