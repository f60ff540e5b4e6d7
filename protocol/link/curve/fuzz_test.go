package curve

import (
	"bytes"
	"testing"
)

// Whatever comes in place of a MESSAGE, it is refused, or it is the next box of the
// peer, which opens as it was sealed.
func FuzzOpen(f *testing.F) {
	client, peer := sessions(f)
	sealed, err := peer.Seal(nil, More, []byte("hello"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:Overhead])
	f.Add(append([]byte(messageName), make([]byte, 64)...))
	f.Fuzz(func(t *testing.T, message []byte) {
		session := *client // every input meets the session as it was
		flags, frame, err := session.Open(nil, message)
		switch {
		case err == nil && !bytes.Equal(message, sealed):
			t.Fatal("a forged box was taken")
		case err == nil && (flags != More || string(frame) != "hello"):
			t.Fatalf("the box opens as %d %q", flags, frame)
		case err != nil && (flags != 0 || frame != nil):
			t.Fatal("something of a refused box came through")
		}
		if err == nil {
			if _, _, err := session.Open(nil, message); err == nil {
				t.Fatal("a box was taken twice")
			}
		}
	})
}

// Whatever comes in place of WELCOME and READY, none of it opens a session, unless
// it is the server's.
func FuzzHandshake(f *testing.F) {
	keys, ours := pair(f), pair(f)
	s := newServer(f, keys)
	client := &Client{Server: keys.Public, Keys: ours}
	begun, hello, err := client.Hello()
	if err != nil {
		f.Fatal(err)
	}
	welcome, err := s.welcome(hello)
	if err != nil {
		f.Fatal(err)
	}
	welcomed := *begun
	initiate, err := welcomed.Initiate(welcome, []byte("metadata"))
	if err != nil {
		f.Fatal(err)
	}
	ready, _, _, _, err := s.ready(initiate, []byte("metadata"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(welcome, ready)
	f.Add(welcome[1:], ready[1:])
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		h := *begun
		if _, err := h.Initiate(first, nil); err == nil && !bytes.Equal(first, welcome) {
			t.Fatal("a forged WELCOME was taken")
		}
		h = welcomed
		if _, session, err := h.Ready(second); err == nil && !bytes.Equal(second, ready) {
			t.Fatal("a forged READY was taken")
		} else if (session == nil) != (err != nil) {
			t.Fatal("neither a session nor an error, or both")
		}
	})
}

// A text is a key or it is not, and a key has one text.
func FuzzParseKey(f *testing.F) {
	f.Add("HelloWorldHelloWorldHelloWorldHelloWorld")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParseKey(text)
		if err == nil && key.Text() != text {
			t.Fatalf("%q is written %q", text, key.Text())
		}
	})
}
