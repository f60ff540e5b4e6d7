package link

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// A name is looked up for every dial: the Sentinel may have moved. (Only Linux has
// all of 127.0.0.0/8 without being told.)
func TestANameIsResolvedAnew(t *testing.T) {
	var address atomic.Value
	first := startRouter(t, "tcp://127.0.0.1:*", nil)
	port := first.endpoint[strings.LastIndexByte(first.endpoint, ':'):]
	address.Store(net.IPv4(127, 0, 0, 1))
	config := quick("tcp://sentinel.example" + port)
	config.resolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go nameServer(theirs, func() net.IP { return address.Load().(net.IP) })
		return ours, nil
	}}
	l := run(t, config)
	l.say(l.nextUp().Connection, []byte("hello"))
	first.next()

	second := startRouter(t, "tcp://127.0.0.2"+port, nil)
	address.Store(net.IPv4(127, 0, 0, 2))
	first.kill()
	l.nextDown()
	l.say(l.nextUp().Connection, []byte("there you are"))
	if got := second.next(); string(got.Frames[0]) != "there you are" {
		t.Errorf("got %q", got.Frames)
	}
}

// nameServer answers questions for an IPv4 address, in the form that DNS has on
// streams: every message behind its length.
func nameServer(conn net.Conn, address func() net.IP) {
	defer conn.Close()
	for {
		length := make([]byte, 2)
		if _, err := io.ReadFull(conn, length); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		const header = 12
		end := header
		for query[end] != 0 { // labels
			end += 1 + int(query[end])
		}
		question := query[header : end+5]
		answer := append([]byte(nil), query[:2]...)                       // id
		answer = append(answer, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)       // a response; one question
		answer = append(answer, question...)                              //
		if binary.BigEndian.Uint16(question[len(question)-4:]) == 0x001 { // A
			answer[7] = 1
			answer = append(answer, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
			answer = append(answer, address().To4()...)
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}
