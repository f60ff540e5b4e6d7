// Package harness runs the worker's real binary against a real libzmq ROUTER
// that behaves as the Python Sentinel was observed to (integration/sentinel).
//
// A [Sentinel] is that double. A [Site] is one worker's place on a machine: its
// state, environments, output and temporary files, which stay when the worker
// is killed and started again. A [Worker] is one run of the binary there. A
// [Gate] holds a plugin at a known place. Nothing here sleeps: a test waits for
// a message, a process's end or a gate, each with a deadline.
package harness
