package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/casparian-flow/casparian-worker/protocol/link"
	"github.com/casparian-flow/casparian-worker/protocol/link/curve"
)

// process is a running peer.py.
type process struct {
	command *exec.Cmd
	tasks   io.WriteCloser
	answers *bufio.Reader
	cancel  context.CancelFunc
}

func startPeer(ctx context.Context, b bench, keys *keys, role string, arguments ...string) (*process, error) {
	described := []byte("null")
	if keys != nil {
		texts := func(p curve.Pair) []string { return []string{p.Public.Text(), p.SecretText()} }
		var err error
		if described, err = json.Marshal(map[string][]string{"server": texts(keys.server), "client": texts(keys.client)}); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	command := exec.CommandContext(ctx, b.python, append([]string{filepath.Join(b.source, "peer.py"), role, string(described)}, arguments...)...)
	command.Stderr = os.Stderr
	tasks, err := command.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	answers, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &process{command, tasks, bufio.NewReader(answers), cancel}, nil
}

// startRouter gives the endpoint, too.
func startRouter(ctx context.Context, b bench, keys *keys) (*process, string, error) {
	p, err := startPeer(ctx, b, keys, "router")
	if err != nil {
		return nil, "", err
	}
	var endpoint string
	if err := p.answer(&endpoint); err != nil {
		p.end()
		return nil, "", err
	}
	return p, endpoint, nil
}

func startDealer(ctx context.Context, b bench, keys *keys, endpoint string) (*process, error) {
	return startPeer(ctx, b, keys, "dealer", endpoint)
}

func (p *process) answer(to any) error {
	line, err := p.answers.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, to)
}

func (p *process) do(_ context.Context, one task) (seconds float64, err error) {
	if err := json.NewEncoder(p.tasks).Encode(one); err != nil {
		return 0, err
	}
	return seconds, p.answer(&seconds)
}

func (p *process) end() {
	p.cancel()
	_ = p.command.Wait() // it was killed
}

// linked is the link in the dealer's place.
type linked struct {
	link       *link.Link
	connection uint64
	stop       context.CancelFunc
	ended      chan error
}

func startLink(ctx context.Context, keys *keys, endpoint string) (*linked, error) {
	config := link.Config{Endpoint: endpoint, Identity: "link"}
	if keys != nil {
		config.Curve = &link.CurveClient{Server: keys.server.Public, Keys: keys.client}
	}
	made, err := link.New(config)
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(ctx)
	l := &linked{link: made, stop: stop, ended: make(chan error, 1)}
	go func() { l.ended <- made.Run(running) }()
	select {
	case event := <-made.Events():
		l.connection = event.(link.Up).Connection // the first event is no other
		return l, nil
	case <-ctx.Done():
		l.end()
		return nil, ctx.Err()
	case <-time.After(time.Minute):
		l.end()
		return nil, fmt.Errorf("not connected: %w", made.Status().LastError)
	}
}

func (l *linked) do(ctx context.Context, one task) (seconds float64, err error) {
	number := func(n int) []byte { return strconv.AppendInt(nil, int64(n), 10) }
	header, body := make([]byte, 16), make([]byte, one.Size)
	began := time.Now()
	request, answers := [][]byte{[]byte("back"), number(one.Messages), number(one.Size)}, one.Messages
	if one.Way == "there" {
		request, answers = [][]byte{[]byte("there"), number(one.Messages)}, 1
	}
	if err := l.link.Send(ctx, l.connection, request); err != nil {
		return 0, err
	}
	if one.Way == "there" {
		for range one.Messages {
			if err := l.link.Send(ctx, l.connection, [][]byte{header, body}); err != nil {
				return 0, err
			}
		}
	}
	for range answers {
		select {
		case event := <-l.link.Events():
			switch e := event.(type) {
			case link.Received:
				e.Release()
			case link.Down:
				return 0, e.Reason
			}
		case <-ctx.Done():
			return 0, errors.New("interrupted")
		}
	}
	return time.Since(began).Seconds(), nil
}

func (l *linked) end() {
	l.stop()
	<-l.ended
}
