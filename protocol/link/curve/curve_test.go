package curve

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestFramesGoBothWays(t *testing.T) {
	client, peer := sessions(t)
	for _, ends := range []struct {
		name     string
		from, to *Session
	}{{"to the server", client, peer}, {"to the client", peer, client}} {
		for _, size := range []int{0, 1, 255, 1 << 10, 3 << 20} {
			frame := bytes.Repeat([]byte{7}, size)
			sealed, err := ends.from.Seal(nil, More, frame)
			if err != nil || len(sealed) != size+Overhead {
				t.Fatalf("%s: %d bytes became %d: %v", ends.name, size, len(sealed), err)
			}
			if size > 16 && bytes.Contains(sealed, frame[:16]) {
				t.Errorf("%s: the frame can be read on the wire", ends.name)
			}
			flags, opened, err := ends.to.Open(nil, sealed)
			if err != nil || flags != More || !bytes.Equal(opened, frame) {
				t.Errorf("%s: %d bytes: %v", ends.name, size, err)
			}
		}
	}
}

// A box is taken once, in its order, from the peer, and unchanged.
func TestBoxesThatAreRefused(t *testing.T) {
	seal := func(s *Session) []byte {
		sealed, err := s.Seal(nil, 0, []byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	for _, c := range []struct {
		name string
		box  func(peer *Session, client *Session) []byte
		want error
	}{
		{"a second time", func(peer, client *Session) []byte {
			box := seal(peer)
			if _, _, err := client.Open(nil, box); err != nil {
				t.Fatal(err)
			}
			return box
		}, ErrReplayed},
		{"behind a later one", func(peer, client *Session) []byte {
			earlier, later := seal(peer), seal(peer)
			if _, _, err := client.Open(nil, later); err != nil {
				t.Fatal(err)
			}
			return earlier
		}, ErrReplayed},
		{"our own, sent back", func(_, client *Session) []byte { return seal(client) }, ErrForged},
		{"of another connection", func(*Session, *Session) []byte {
			_, other := sessions(t)
			return seal(other)
		}, ErrForged},
		{"with another number", func(peer, _ *Session) []byte {
			box := seal(peer)
			box[len(messageName)]++
			return box
		}, ErrForged},
		{"changed", func(peer, _ *Session) []byte {
			box := seal(peer)
			box[len(box)-1] ^= 1
			return box
		}, ErrForged},
		{"cut", func(peer, _ *Session) []byte { return seal(peer)[:Overhead-1] }, ErrMalformed},
		{"of another name", func(*Session, *Session) []byte { return bytes.Repeat([]byte{1}, 100) }, ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, peer := sessions(t)
			box := c.box(peer, client)
			if _, _, err := client.Open(nil, box); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// Two boxes of a session never have the same number, and none has a number of the
// handshake.
func TestNoNumberIsUsedTwice(t *testing.T) {
	client, _ := sessions(t)
	seen := map[string]bool{}
	for range 100 {
		sealed, err := client.Seal(nil, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		number := string(sealed[len(messageName) : len(messageName)+shortNonceSize])
		if seen[number] || number <= "\x00\x00\x00\x00\x00\x00\x00\x02" {
			t.Fatalf("%x comes again", number)
		}
		seen[number] = true
	}
	client.sent = math.MaxUint64
	if _, err := client.Seal(nil, 0, nil); !errors.Is(err, ErrExhausted) {
		t.Errorf("after the last number: %v", err)
	}
}

// Whoever has not got the server's secret learns nothing of us.
func TestAnotherServerIsToldNothing(t *testing.T) {
	ours, theirs, another := pair(t), pair(t), pair(t)
	client := &Client{Server: theirs.Public, Keys: ours}
	h, hello, err := client.Hello()
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]Key{"our key": ours.Public, "the server's key": theirs.Public} {
		if bytes.Contains(hello, key[:]) {
			t.Errorf("HELLO shows %s", name)
		}
	}
	if _, err := newServer(t, another).welcome(hello); !errors.Is(err, ErrForged) {
		t.Errorf("another server makes of our HELLO: %v", err)
	}
	// The other server guesses what our HELLO would say to it, and answers.
	forThem := &Handshake{client: &Client{Server: another.Public}, transient: h.transient}
	forged, err := newServer(t, another).welcome(forThem.hello())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Initiate(forged, nil); !errors.Is(err, ErrNotTheServer) {
		t.Errorf("a WELCOME of another server: %v", err)
	}
	if _, err := h.Initiate(forged[1:], nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("a WELCOME that is too short: %v", err)
	}
	if _, _, err := h.Ready(make([]byte, 100)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a READY before the WELCOME: %v", err)
	}
}

func TestKeysReadAsTheyAreWritten(t *testing.T) {
	for range 20 {
		keys := pair(t)
		read, err := ParseKey(keys.SecretText())
		if err != nil || PairOf(read) != keys {
			t.Errorf("%v", err)
		}
	}
	// The example of RFC 32, doubled to the length of a key four times.
	key := Key(bytes.Repeat([]byte{0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b}, 4))
	if got := key.Text(); got != strings.Repeat("HelloWorld", 4) {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{"", "short", strings.Repeat("x", 41), strings.Repeat("~", 40), strings.Repeat("#", 40)} {
		_, err := ParseKey(text)
		if !errors.Is(err, ErrNotAKey) {
			t.Errorf("%q: %v", text, err)
		}
		if len(text) > 5 && strings.Contains(fmt.Sprint(err), text) {
			t.Errorf("the error repeats the text: %v", err)
		}
	}
	keys := pair(t)
	if printed := fmt.Sprintf("%v %+v %s %#v", keys, keys, keys, &Client{Keys: keys}); strings.Contains(printed, keys.SecretText()) {
		t.Errorf("printed with the secret: %s", printed)
	}
}
