//go:build unix && drill

package integration

import (
	"testing"
	"time"
)

// The drills in full size, each some minutes; run by `make drill`.

func TestDrillBadNetwork(t *testing.T) {
	badNetwork(t, seedOf(t, uint64(time.Now().UnixNano())), 16, 2000, 500)
}

func TestDrillSentinelKills(t *testing.T) {
	sentinelKills(t, seedOf(t, uint64(time.Now().UnixNano())), 8, 2000, 50, 30*time.Second)
}
