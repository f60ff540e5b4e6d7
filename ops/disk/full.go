package disk

import "errors"

// IsFull reports whether err says that the disk takes no writes for now: it is
// full, above a quota, or read-only. Somebody can make room, and then the work can
// be done again. After a failed Sync that means a new file: nobody knows which of
// the old one's pages have reached the disk.
func IsFull(err error) bool {
	for _, full := range Full {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}
