package link

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// endpoint is a ZeroMQ endpoint in the terms of package net.
type endpoint struct {
	text    string // as it was given
	network string // "tcp" or "unix"
	address string
}

// maxSocketPath is the longest path, in bytes, of a Unix socket on this system.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

func parseEndpoint(text string) (endpoint, error) {
	bad := func(format string, args ...any) (endpoint, error) {
		return endpoint{}, fmt.Errorf("%q %s", text, fmt.Sprintf(format, args...))
	}
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return bad("has no scheme; write tcp://host:port or ipc://path")
	}
	switch scheme {
	case "tcp":
		host, port, err := net.SplitHostPort(rest)
		if err != nil {
			return bad("is not tcp://host:port: %v", err)
		}
		if host == "" || host == "*" {
			return bad("names no host to connect to")
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return bad("has no port between 1 and 65535")
		}
		return endpoint{text, "tcp", rest}, nil
	case "ipc":
		if rest == "" {
			return bad("has no path")
		}
		if len(rest) > maxSocketPath {
			return bad("has a path of %d bytes; this system allows %d for a socket", len(rest), maxSocketPath)
		}
		return endpoint{text, "unix", rest}, nil
	}
	return bad("has an unknown scheme; tcp and ipc are known")
}

// dial connects a socket that the system itself gives up, too, when the peer is
// gone: a second net below the heartbeats.
func (e endpoint) dial(ctx context.Context, c Config) (net.Conn, error) {
	dialer := net.Dialer{
		Timeout:  c.DialTimeout,
		Resolver: c.resolver,
		KeepAliveConfig: net.KeepAliveConfig{
			Enable:   true,
			Idle:     max(c.HeartbeatInterval, time.Second),
			Interval: max(c.HeartbeatInterval/2, time.Second),
			Count:    3,
		},
	}
	if e.network == "tcp" {
		unacknowledged := max(2*c.HeartbeatInterval, c.WriteStall)
		dialer.Control = func(_, _ string, socket syscall.RawConn) error {
			return tune(socket, unacknowledged)
		}
	}
	return dialer.DialContext(ctx, e.network, e.address)
}
