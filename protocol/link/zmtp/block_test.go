package zmtp

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"
)

func TestBlocksAreLittleLargerThanWhatIsInThem(t *testing.T) {
	last := 0
	for n := 1; n <= largestBlock; n += 1 + n/1000 {
		size, capacity := blockSize(n)
		if capacity < n || n > smallestBlock && capacity > n+n/4 {
			t.Fatalf("a block of %d for %d bytes", capacity, n)
		}
		if size < last || size >= len(spare) {
			t.Fatalf("size %d of %d, for %d bytes, comes behind size %d", size, len(spare), n, last)
		}
		if again, same := blockSize(capacity); again != size || same != capacity {
			t.Fatalf("a block of %d bytes, of size %d, is one of %d bytes, of size %d", capacity, size, same, again)
		}
		last = size
	}
	for _, n := range []int{largestBlock, largestBlock + 1} {
		b := take(n)
		if len(b.bytes) != n {
			t.Errorf("%d bytes instead of %d", len(b.bytes), n)
		}
		b.free()
	}
}

// asked notes for how much it was asked at once.
type asked struct {
	from  io.Reader
	check func(n int)
}

func (a asked) Read(p []byte) (int, error) {
	a.check(len(p))
	return a.from.Read(p)
}

// A peer that says that much will come, and sends a part of it, has us take memory for
// a few times that part.
func TestMemoryIsTakenAsTheBytesCome(t *testing.T) {
	content := make([]byte, 40<<20)
	for i := range content {
		content[i] = byte(i * 2654435761 >> 13)
	}
	for _, comes := range []int{0, 1, trusted - 1, trusted, trusted + 1, growth*trusted + 1, len(content)} {
		from := bytes.NewReader(content[:comes])
		most := 0
		b, err := readBlock(asked{from, func(n int) { most = max(most, comes-from.Len()+n) }}, len(content))
		if comes < len(content) {
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d bytes came: %v", comes, err)
			}
			if allowed := max(trusted, growth*comes); most > allowed {
				t.Errorf("%d bytes came: memory for %d was taken, %d are allowed", comes, most, allowed)
			}
			continue
		}
		if err != nil || !bytes.Equal(b.bytes, content) {
			t.Errorf("%d bytes came, and are not those that were read: %v", comes, err)
		}
	}
}

// What was released is used again; what was not stays as it came.
func TestReleasedMemoryIsNobodysMessage(t *testing.T) {
	conn, peer := opened(t, Options{HeartbeatInterval: time.Minute})
	const messages, size = 100, 50_000
	var kept []*Message
	done := make(chan struct{})
	came := 0
	serving(t, conn, func(m *Message) error {
		if came%3 == 0 {
			kept = append(kept, m)
		} else {
			m.Release()
			m.Release() // does nothing
		}
		if came++; came == messages {
			close(done)
		}
		return nil
	})
	go func() { // the peer's PINGs are not read, and fit
		for i := range messages {
			body := bytes.Repeat([]byte{byte(i)}, size)
			_, _ = peer.Write(append(frame(flagMore, body), frame(0, body[:size/2])...))
		}
	}()
	select {
	case <-done:
	case <-time.After(within):
		t.Fatal("not all messages came")
	}
	for i, m := range kept {
		want := bytes.Repeat([]byte{byte(3 * i)}, size)
		if len(m.Frames) != 2 || !bytes.Equal(m.Frames[0], want) || !bytes.Equal(m.Frames[1], want[:size/2]) {
			t.Errorf("message %d has changed", 3*i)
		}
	}
}
