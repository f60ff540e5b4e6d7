package ops

import "golang.org/x/sys/windows"

// roomOn is how many bytes a folder's disk has free for this user.
func roomOn(folder string) (int64, error) {
	path, err := windows.UTF16PtrFromString(folder)
	if err != nil {
		return 0, err
	}
	var free uint64
	err = windows.GetDiskFreeSpaceEx(path, &free, nil, nil)
	return int64(free), err
}
