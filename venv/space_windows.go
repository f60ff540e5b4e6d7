package venv

import "golang.org/x/sys/windows"

// noRoom is what Windows says when a disk is full; it never gives Go's ENOSPC.
const noRoom = windows.ERROR_DISK_FULL
