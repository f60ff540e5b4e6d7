// Package bridge runs a plugin in a process of its own, the guest, and receives
// the rows that it publishes as Arrow record batches.
//
// A [Host] belongs to one worker process. [Host.Start] starts a guest,
// [Guest.Next] gives its batches one by one, [Guest.Acknowledge] lets it send
// more, and [Guest.Close] leaves nothing of it behind.
//
// # Reading order
//
//	host.go       options, limits, the runtime folder
//	warm.go       which environments have a warm interpreter; forkserver.go is one,
//	              learned.go says what else it imports
//	guest.go      a guest's life from start to close
//	attach.go     going on with a guest whose worker has died; outlived*.go waits for it
//	conversation.go  who may connect, and which version is spoken
//	wire1.go      version 1: what the shims of the field speak
//	wire2.go      version 2: what our own shim speaks
//	decode.go     Arrow IPC without copying; flatbuffer.go and validate.go keep it safe
//	strays.go     what earlier workers left and no journal knows of
//	process*.go   starting, recognising and killing a process tree
//	listener*.go  where a guest connects, and who it is
//	guest/        the shim itself, in Python
//
// # Trust
//
// A guest runs other people's code. Nothing that it sends is believed: a length
// is compared with its limit before memory is allocated for it, Arrow metadata
// is checked before Arrow's reader sees it, and the buffers of each array are
// checked before a batch is handed out. The limits protect the worker; they do
// not jail the plugin, which runs with the rights of the worker's user.
//
// # Version 2 of the wire
//
// The guest connects and sends eight bytes: F5 43 53 50 (0xF5 "CSP"), a u16
// version (2) and a u16 that is zero. No version 1 guest can begin like this: it
// would announce a frame of 4 GB, above every frame limit.
//
// After that both sides send frames: a type byte, three zero bytes, a u32 length,
// and the body. Numbers are big-endian. Guest to host:
//
//	1 HELLO     JSON {token, pid, python, resume}: first, within the connect limit;
//	            resume {kept, sent, output} when it was with another host before
//	2 TOPIC     JSON {id, name, default_uri}: before the first batch of the topic
//	3 BATCH     u64 serial (from 1, without gaps), u32 topic id (0 = every sink),
//	            u32 zero, one Arrow IPC stream: schema, dictionaries, one batch
//	4 PROGRESS  JSON {note}
//	5 LOG       JSON {message}: kept with what the guest prints
//	6 END       JSON {batches, rows, imports}: the only proof of success
//	7 ERROR     JSON {type, message, traceback}: the plugin raised; nothing follows
//
// Host to guest:
//
//	64 JOB       JSON: the job, and the limits that the guest keeps
//	65 SOURCE    the plugin's source, any bytes
//	66 ACK       u64 serial: all batches up to this one are done with
//	67 RESUME    JSON {batches}: go on behind this batch; answers a HELLO with resume
//	68 DURABLE   u64 serial: all batches up to this one need not be kept any more
//	69 BYE       nothing follows, and nobody will want to go on with the guest
//
// A guest sends no more than the window of batches ahead of the last ACK.
//
// Batches are cut by rules that look only at the data, so that the same plugin
// over the same file gives the same batches under the same serials.
//
// # When the worker dies
//
// A job with patience_ms 0 ends with its connection: the guest learns from that alone
// that it is no longer wanted. With more, a connection that ends without BYE means
// that the worker has died, and the guest waits for the next one so long. Until END
// or ERROR, and beyond, until BYE, it keeps every batch that is not DURABLE, up to
// keep_memory bytes in memory and then keep_disk in a file without a name; when both
// are full it lets go of what it has sent, and can be gone on with behind the next
// DURABLE only. For the first keep_late_ms it leaves the disk alone: what fills its
// memory by then keeps nothing until they are over. Meanwhile its plugin goes on as far as the window allows, and what it
// prints is read and counted by the guest itself, which has its own descriptor of the
// pipe.
//
// The guest asks for a connection at the same address, again and again. A worker that
// wants it listens there ([Host.Attach]), looks at the token, whose digest its journal
// has, and at kept and sent, the first and last batch that the guest can still give.
// It opens the pipe of the guest's output by the descriptor's number in HELLO, and
// sends RESUME. Then the guest sends all of its TOPICs, the batches behind the one
// named, and END or ERROR if it had come to that. A guest whose time is over kills
// whatever carries its marker, is of its session or descends from these, and then
// itself.
package bridge
