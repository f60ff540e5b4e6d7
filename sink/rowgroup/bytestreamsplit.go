package rowgroup

// Encodings.md, "Byte Stream Split (BYTE_STREAM_SPLIT = 9)": byte k of every
// value goes to stream k, and the streams follow one another. It saves nothing
// by itself, but exponents and high bytes then lie together for the codec.

// appendByteStreamSplit appends the values in plain, width bytes each.
func appendByteStreamSplit(dst, plain []byte, width int) []byte {
	n := len(plain) / width
	dst = reserve(dst, n*width)
	out := dst[len(dst) : len(dst)+n*width]
	switch width {
	case 4:
		a, b, c, d := out[:n], out[n:2*n], out[2*n:3*n], out[3*n:4*n]
		for i, x := range viewAs[uint32](plain)[:n] {
			a[i], b[i], c[i], d[i] = byte(x), byte(x>>8), byte(x>>16), byte(x>>24)
		}
	case 8:
		for half := range 2 {
			at := 4 * half * n
			a, b, c, d := out[at:at+n], out[at+n:at+2*n], out[at+2*n:at+3*n], out[at+3*n:at+4*n]
			shift := uint(32 * half)
			for i, x := range viewAs[uint64](plain)[:n] {
				x >>= shift
				a[i], b[i], c[i], d[i] = byte(x), byte(x>>8), byte(x>>16), byte(x>>24)
			}
		}
	default:
		for k := range width {
			stream := out[k*n : (k+1)*n]
			for i := range stream {
				stream[i] = plain[i*width+k]
			}
		}
	}
	return dst[:len(dst)+n*width]
}
