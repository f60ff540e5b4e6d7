package bridge

import (
	"errors"
	"fmt"
)

// ErrClosed is what [Guest.Next] returns after [Guest.Close].
var ErrClosed = errors.New("the guest was closed by its host")

// Kind tells in which way a guest failed.
type Kind string

const (
	// StartFailed: there was never a process.
	StartFailed Kind = "start failed"
	// SourceTooLarge: version 1 carries the source in one environment string, and
	// this one does not fit. Found before a process is started.
	SourceTooLarge Kind = "plugin source too large for version 1"
	// EndedEarly: the process or its connection ended without the end frame,
	// whatever the exit status says.
	EndedEarly Kind = "ended without the end frame"
	// ConnectTimeout: no guest with the right credentials came in time.
	ConnectTimeout Kind = "connect timeout"
	// SilenceTimeout: the guest had room to send and sent nothing for too long.
	SilenceTimeout Kind = "silence timeout"
	// JobTimeout: the job as a whole took too long.
	JobTimeout Kind = "job timeout"
	// NotAttached: a guest that outlived its worker could not be gone on with. Another
	// one can run the job from its start.
	NotAttached Kind = "not attached again"
	// ProtocolViolation: the guest sent what the wire does not allow.
	ProtocolViolation Kind = "protocol violation"
	// FrameTooLarge: the guest announced a frame above the limit.
	FrameTooLarge Kind = "frame too large"
)

// PluginError: the plugin raised. Everything in it comes from the guest.
type PluginError struct {
	Type      string // the exception's class; empty from a version 1 guest
	Message   string
	Traceback string // from the plugin's own first frame on; may be empty
	Output    string // tail of what the guest printed
}

func (e *PluginError) Error() string {
	switch {
	case e.Type == "":
		return "plugin failed: " + e.Message
	case e.Message == "":
		return "plugin raised " + e.Type
	}
	return "plugin raised " + e.Type + ": " + e.Message
}

// GuestError: the guest did not do its part, through the plugin's fault or not.
type GuestError struct {
	Kind       Kind
	Detail     string // what exactly, in one sentence
	Output     string // tail of what the guest printed
	ExitStatus string // "exit status 1", "signal: killed"; empty when it did not end by itself
	Hint       string // what a person can do; may be empty
	Err        error  // the cause, when there is one
}

func (e *GuestError) Error() string {
	text := "guest: " + string(e.Kind)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.ExitStatus != "" {
		text += " (" + e.ExitStatus + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

func (e *GuestError) Unwrap() error { return e.Err }

func violation(format string, values ...any) *GuestError {
	return &GuestError{Kind: ProtocolViolation, Detail: fmt.Sprintf(format, values...)}
}

func frameTooLarge(length, limit int64) *GuestError {
	return &GuestError{
		Kind:   FrameTooLarge,
		Detail: fmt.Sprintf("the guest announced a frame of %d bytes, the limit is %d", length, limit),
		Hint:   "publish smaller frames, or raise the frame limit",
	}
}

// TreeError: processes of a guest are still alive after all attempts to kill them.
type TreeError struct {
	PIDs []int
}

func (e *TreeError) Error() string {
	return fmt.Sprintf("processes of the guest cannot be killed: %v", e.PIDs)
}
