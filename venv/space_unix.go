//go:build unix

package venv

import "syscall"

// noRoom is what the system says besides ENOSPC when there is no room: the
// user's share of the disk is used up.
const noRoom = syscall.EDQUOT
