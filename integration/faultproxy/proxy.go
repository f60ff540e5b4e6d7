// Package faultproxy is a TCP proxy that breaks what passes through it, on demand.
//
// It stands between a worker and a Sentinel. Each connection is a [Stream] that knows
// the ZeroMQ identity which the worker announced on it, so that a test can break one
// lane and leave the others.
//
// It is written for this project: the proxies at hand cannot leave a connection half
// open, and bring a control server along.
package faultproxy

import (
	"net"
	"sync"
)

// Proxy listens on a loopback port and passes every connection on.
type Proxy struct {
	upstream string
	listener net.Listener
	work     sync.WaitGroup

	mu      sync.Mutex
	streams map[*Stream]bool
	refuse  int // connections to reset right after they were taken
	taken   int
	closed  bool
}

// Listen starts a proxy for an upstream host:port.
func Listen(upstream string) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{upstream: upstream, listener: listener, streams: map[*Stream]bool{}}
	p.work.Go(p.accept)
	return p, nil
}

// Address is the proxy's own host:port.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Streams lists the connections that are open, in no order.
func (p *Proxy) Streams() []*Stream {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := make([]*Stream, 0, len(p.streams))
	for s := range p.streams {
		open = append(open, s)
	}
	return open
}

// Stream gives the latest connection of an identity that is open, or nil.
func (p *Proxy) Stream(identity string) *Stream {
	var latest *Stream
	for _, s := range p.Streams() {
		if s.Identity() == identity && (latest == nil || s.Number > latest.Number) {
			latest = s
		}
	}
	return latest
}

// Refuse resets the next n connections right after they were taken.
func (p *Proxy) Refuse(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = n
}

// Close ends all connections and returns when nothing of the proxy is left.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	for _, s := range p.Streams() {
		s.Cut()
	}
	p.work.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		worker, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.mu.Lock()
		refused := p.refuse > 0
		if refused {
			p.refuse--
		}
		p.taken++
		number := p.taken
		p.mu.Unlock()
		if refused {
			reset(worker)
			continue
		}
		p.work.Go(func() { p.serve(worker, number) })
	}
}

func (p *Proxy) serve(worker net.Conn, number int) {
	sentinel, err := net.Dial("tcp", p.upstream)
	if err != nil {
		reset(worker) // nobody is there: the worker learns it as it would without us
		return
	}
	s := newStream(number, worker, sentinel)
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		s.Cut()
		return
	}
	p.streams[s] = true
	p.mu.Unlock()
	s.serve()
	p.mu.Lock()
	delete(p.streams, s)
	p.mu.Unlock()
}

// reset closes a connection so that its other end gets an RST.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // only the manner of closing depends on it
	}
	conn.Close()
}
