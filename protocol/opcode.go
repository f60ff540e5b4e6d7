package protocol

import "strconv"

// Version is the one protocol version that this package speaks: the first byte
// of every header.
const Version = 4

// OpCode says what a message is about: the second byte of every header. The
// zero value is invalid on the wire, so that a header nobody filled in is not
// taken for a message.
type OpCode uint8

// The opcodes of protocol v4. Newer Sentinels use higher ones under the same
// version byte; [Decode] reports those as [ErrInvalidOpCode], to be skipped.
const (
	OpUnknown    OpCode = iota // never sent
	OpIdentify                 // worker → Sentinel: here I am, and these plugins I can run
	OpDispatch                 // Sentinel → worker: run this job
	OpAbort                    // Sentinel → worker: stop this job
	OpHeartbeat                // worker → Sentinel: I am alive; newer Sentinels ask for it
	OpConclude                 // worker → Sentinel: the job's receipt
	OpErr                      // both ways: something went wrong
	OpReload                   // Sentinel → worker: plugins or configuration changed
	OpPrepareEnv               // Sentinel → worker: build this environment
	OpEnvReady                 // worker → Sentinel: the environment can be used
	OpDeploy                   // client → Sentinel: publish a plugin; a worker never gets one
)

var opNames = [...]string{
	OpUnknown:    "UNKNOWN",
	OpIdentify:   "IDENTIFY",
	OpDispatch:   "DISPATCH",
	OpAbort:      "ABORT",
	OpHeartbeat:  "HEARTBEAT",
	OpConclude:   "CONCLUDE",
	OpErr:        "ERR",
	OpReload:     "RELOAD",
	OpPrepareEnv: "PREPARE_ENV",
	OpEnvReady:   "ENV_READY",
	OpDeploy:     "DEPLOY",
}

// String is the name in the protocol's table, or OPCODE(n) for one that is not
// in it.
func (op OpCode) String() string {
	if int(op) < len(opNames) {
		return opNames[op]
	}
	return "OPCODE(" + strconv.Itoa(int(op)) + ")"
}

// Valid reports whether a message may carry the opcode.
func (op OpCode) Valid() bool {
	return op > OpUnknown && op <= OpDeploy
}
