// Package crashpoint names the moments at which a crash matters, and lets a drill
// kill the process at any of them. Off, as always but in a drill, passing a point
// costs one atomic load.
//
// A new point is a constant here, a line in [All], and a call of [Reach]. The
// drill fails when no load of its own passes it.
package crashpoint

// Point is a named moment. "before" and "after" are those of the act in its name.
type Point string

// The journal.
const (
	JournalCreateBefore Point = "journal.create.before"
	JournalCreateAfter  Point = "journal.create.after"
	JournalAppendBefore Point = "journal.append.before"
	JournalAppendAfter  Point = "journal.append.after"
)

// The sinks' files.
const (
	SinkStageBefore   Point = "sink.stage.before"
	SinkStageAfter    Point = "sink.stage.after"
	SinkWriteBefore   Point = "sink.write.before"
	SinkWriteAfter    Point = "sink.write.after"
	SinkSyncBefore    Point = "sink.sync.before"
	SinkSyncAfter     Point = "sink.sync.after"
	SinkSealAfter     Point = "sink.seal.after"
	SinkPublishBefore Point = "sink.publish.before"
	SinkPublishAfter  Point = "sink.publish.after"
	SinkNamedAfter    Point = "sink.named.after"
	SinkResumeBefore  Point = "sink.resume.before"
	SinkResumeAfter   Point = "sink.resume.after"
	SinkRemoveBefore  Point = "sink.remove.before"
	SinkRemoveAfter   Point = "sink.remove.after"
)

// The guests.
const (
	GuestSocketAfter  Point = "guest.socket.after"
	GuestStartBefore  Point = "guest.start.before"
	GuestStartAfter   Point = "guest.start.after"
	GuestFrameAfter   Point = "guest.frame.after"
	GuestAckBefore    Point = "guest.ack.before"
	GuestAckAfter     Point = "guest.ack.after"
	GuestResumeBefore Point = "guest.resume.before"
	GuestResumeAfter  Point = "guest.resume.after"
	GuestEndBefore    Point = "guest.end.before"
	GuestEndAfter     Point = "guest.end.after"
)

// The link to the Sentinel.
const (
	LinkReceiveAfter Point = "link.receive.after"
	LinkSendBefore   Point = "link.send.before"
	LinkSendAfter    Point = "link.send.after"
)

// The worker's start.
const (
	ControlListenAfter Point = "control.listen.after"
	RecoverGuestBefore Point = "recover.guest.before"
	RecoverGuestAfter  Point = "recover.guest.after"
)

// Description says when a point is passed.
type Description struct {
	Point Point
	When  string
}

// All lists every point, in the order of a job's life.
var All = []Description{
	{JournalCreateBefore, "a new journal is whole, and has not its name yet"},
	{JournalCreateAfter, "a new journal has its name"},
	{ControlListenAfter, "the control socket is there"},
	{RecoverGuestBefore, "a guest that the process before left over is about to be dealt with"},
	{RecoverGuestAfter, "it has been dealt with"},
	{GuestResumeBefore, "a guest that outlived its worker is about to be told where to go on"},
	{GuestResumeAfter, "it is told"},
	{SinkRemoveBefore, "a staged file of an attempt that is over is about to be removed"},
	{SinkRemoveAfter, "it is removed"},
	{SinkResumeBefore, "a staged file is about to be cut off behind its last durable row group"},
	{SinkResumeAfter, "it is cut off, and goes on there"},
	{LinkReceiveAfter, "a message of the Sentinel is read, and nothing was done about it"},
	{JournalAppendBefore, "events are about to be committed"},
	{JournalAppendAfter, "events are durable, and nothing was done about it"},
	{GuestSocketAfter, "a guest's socket is there, and no guest"},
	{GuestStartBefore, "a guest is about to be started"},
	{GuestStartAfter, "a guest runs, and the journal does not know its process yet"},
	{GuestFrameAfter, "a batch of a guest is read and decoded"},
	{SinkStageBefore, "a staged file is about to be created"},
	{SinkStageAfter, "a staged file is there"},
	{SinkWriteBefore, "bytes are about to be written to a staged file"},
	{SinkWriteAfter, "they are written, and not synced"},
	{SinkSyncBefore, "a staged file is about to be synced"},
	{SinkSyncAfter, "its content and its name are durable"},
	{GuestAckBefore, "a batch is about to be acknowledged to its guest"},
	{GuestAckAfter, "it is acknowledged"},
	{GuestEndBefore, "what is left of a guest is about to be killed"},
	{GuestEndAfter, "nothing of it is left"},
	{SinkSealAfter, "a staged file is complete"},
	{SinkPublishBefore, "a file is about to get its final name"},
	{SinkPublishAfter, "it has its final name"},
	{SinkNamedAfter, "its final name is durable"},
	{LinkSendBefore, "a message is about to be written to the Sentinel's connection"},
	{LinkSendAfter, "it is written"},
}

// Known reports whether there is such a point.
func Known(p Point) bool {
	for _, d := range All {
		if d.Point == p {
			return true
		}
	}
	return false
}
