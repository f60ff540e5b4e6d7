//go:build linux && drill

package integration

func roomsLeft() (rooms []int64) {
	for room := int64(0); room <= 320<<10; room += 4 << 10 {
		rooms = append(rooms, room)
	}
	return rooms
}
