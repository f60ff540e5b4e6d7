"""The guest's side of the bridge. Needs nothing but the standard library, and
pyarrow as soon as a plugin publishes something.

session     one job from connect to end
wire        the frames of version 2, flow control, and going on with another host
keep        batches that the host has not called durable
orphan      what a guest does for itself while its host is dead
plugin      loading a plugin's source and calling its Handler
publish     topics, and the context that a plugin is given
frames      what a plugin may yield, as Arrow tables
slices      tables cut into batches, and batches as bytes
sdk         a stand-in for casparian_flow.sdk
forkserver  a warm interpreter, which is forked for each job
identity    what makes a fork a process of its own
pages       the memory that every fork writes to, copied for it in one go
"""
