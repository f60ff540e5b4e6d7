package yield

import "testing"

// Work that is told in small pieces gives way as work in large ones does.
func TestCounterGivesWayOnceAStretch(t *testing.T) {
	var c Counter
	for range 4 {
		c.Worked(stretch/4 - 1)
	}
	if c.bytes != stretch-4 {
		t.Errorf("after less than a stretch %d bytes are counted, not %d", c.bytes, stretch-4)
	}
	c.Worked(4)
	if c.bytes != 0 {
		t.Errorf("after a stretch %d bytes are counted, not 0", c.bytes)
	}
}
