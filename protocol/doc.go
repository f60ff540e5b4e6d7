// Package protocol is the codec of protocol v4, the wire between a Sentinel and
// its workers. It turns a [Message] into frames and back, and does no I/O of its
// own; package link carries the frames over ZeroMQ.
//
// # Frames
//
// The worker is a ZeroMQ DEALER, the Sentinel a ROUTER. A message has two
// frames, header and payload, and no empty frame in front. The header has 16
// bytes in network byte order (`!BBHQI` for Python's struct):
//
//	offset  size  field
//	0       1     version: 4
//	1       1     opcode
//	2       2     reserved: 0 when sent, ignored when received
//	4       8     job id, 0 = about no job
//	12      4     payload length in bytes
//
// # Opcodes and payloads
//
// A payload is a JSON object in UTF-8. A field with a question mark is optional:
// missing and null are the same, and null is sent.
//
//	op  name         direction          payload
//	 0  UNKNOWN      never sent
//	 1  IDENTIFY     worker → Sentinel  capabilities: [str], worker_id: str?
//	 2  DISPATCH     Sentinel → worker  plugin_name, file_path, sinks: [{topic, uri, mode, schema_def?}],
//	                                    file_version_id: int, env_hash, source_code, artifact_hash?
//	 3  ABORT        Sentinel → worker  an empty frame
//	 4  HEARTBEAT    worker → Sentinel  status: IDLE|BUSY, current_job_id: int?
//	                 Sentinel → worker  nothing: it asks for one
//	 5  CONCLUDE     worker → Sentinel  status: SUCCESS|FAILED, metrics: {str: int},
//	                                    artifacts: [{topic, uri, …: str}], error_message: str?
//	 6  ERR          both               message, traceback?
//	 7  RELOAD       Sentinel → worker  no payload frame at all
//	 8  PREPARE_ENV  Sentinel → worker  env_hash, lockfile_content, python_version?
//	 9  ENV_READY    worker → Sentinel  env_hash, interpreter_path, cached: bool
//	10  DEPLOY       client → Sentinel  plugin_name, version, source_code, lockfile_content, env_hash,
//	                                    artifact_hash, signature, publisher_name, publisher_email?,
//	                                    azure_oid?, system_requirements?: any JSON
//
// # Strict and tolerant
//
// Taken as the wire really carries it: unknown fields; null for missing; any
// reserved bytes; RELOAD and ABORT with no payload frame, an empty one, or one
// to ignore; a HEARTBEAT without payload; 7.0 for the integer 7.
//
// Refused, naming the field: what a worker could not act on (a required field
// that is missing, null, or of another type; an empty plugin_name, file_path,
// env_hash, or a sink without topic or uri), integers beyond 64 bits, and text
// that JSON in UTF-8 cannot hold. The same rules hold for sending and receiving,
// so that what can be read can be sent.
//
// The reasons, and what a Sentinel was seen to do, are in docs/protocol.md.
//
// # Where to read on
//
// opcode.go and header.go are the header, payload.go the payloads, check.go
// what they must hold, message.go puts frames together and takes them apart,
// errors.go has the six kinds of errors. object.go and survey.go read JSON more
// strictly than encoding/json does.
package protocol
