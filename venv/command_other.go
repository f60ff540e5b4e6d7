//go:build unix && !linux

package venv

import "syscall"

// dieWithParent does nothing: there is no such request here. A uv that outlives
// a killed worker ends its work in a folder that no environment is made of; a
// later sweep removes what it left.
func dieWithParent(*syscall.SysProcAttr) {}
