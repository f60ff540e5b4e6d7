package zmtp

// Message is a message that came in. It is its receiver's.
type Message struct {
	Frames [][]byte // at least one

	blocks []*block  // memory of the larger frames
	room   [2][]byte // for the Frames of most messages
}

func newMessage() *Message {
	m := &Message{}
	m.Frames = m.room[:0]
	return m
}

func (m *Message) add(body []byte, memory *block) {
	m.Frames = append(m.Frames, body)
	if memory != nil {
		m.blocks = append(m.blocks, memory)
	}
}

// Release gives the frames' memory to messages to come, of any connection. Nobody may
// use the frames from then on, nor what shares memory with them. It is no duty: what
// is not released is the garbage collector's. A second call does nothing.
func (m *Message) Release() {
	for _, b := range m.blocks {
		b.free()
	}
	m.Frames, m.blocks = nil, nil
}
