"""Topics, and the context that a plugin is given."""
import threading

from . import frames

LONGEST_NAME = 1 << 10


class Topic:
    """The handle that register_topic returns."""

    def __init__(self, name, topic_id):
        self.name = name
        self.id = topic_id

    def __repr__(self):
        return "<topic %s>" % self.name


class Publisher:
    """Turns what a plugin yields into batches on the wire."""

    def __init__(self, connection, job):
        self._connection = connection
        self._job = job
        self._topics = {}
        self._encoder = None  # pyarrow is imported with the first frame
        self._lock = threading.RLock()

    def register(self, name, default_uri=None):
        if not isinstance(name, str) or not name:
            raise ValueError("a topic's name is a string that is not empty, not %r" % (name,))
        if default_uri is not None and not isinstance(default_uri, str):
            raise ValueError("a topic's default_uri is a string, not %r" % (default_uri,))
        for text in (name, default_uri or ""):
            if len(text.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
                raise ValueError("a topic's name and default_uri have at most %d bytes" % LONGEST_NAME)
        with self._lock:
            topic = self._topics.get(name)
            if topic is None:
                topic = Topic(name, self._connection.send_topic(name, default_uri))
                self._topics[name] = topic
            return topic

    def publish(self, topic, data):
        """Send data to a topic's sinks; to every sink of the job when topic is None."""
        topic_id = 0 if topic is None else self._resolve(topic).id
        with self._lock:
            if self._encoder is None and data is not None:
                self._encoder = self._new_encoder()
            for table in frames.tables(data):
                for rows, stream in self._encoder.encode(table):
                    self._connection.send_batch(topic_id, rows, stream)
                table = None  # the next one may be as large

    def _new_encoder(self):
        try:
            from . import slices  # imports pyarrow
        except ImportError as error:
            raise ImportError("the plugin's environment has no usable pyarrow, which every plugin "
                              "that publishes something needs: %s" % error) from error
        return slices.Encoder(self._job.slice_rows, self._job.slice_bytes, self._job.frame_bytes)

    def _resolve(self, topic):
        if isinstance(topic, Topic):
            return topic
        if isinstance(topic, str):
            return self.register(topic)
        raise TypeError("publish takes the handle that register_topic returned, or a topic's name, not %r" % (topic,))

    def progress(self, note):
        self._connection.send_progress(note)

    def log(self, message):
        self._connection.send_log(message)


class Context:
    """What a plugin sees of its host."""

    def __init__(self, publisher):
        self._publisher = publisher

    def register_topic(self, name, default_uri=None):
        """A handle for publish. The same name gives the same handle."""
        return self._publisher.register(name, default_uri)

    def publish(self, handle, data):
        """Publish a frame, or several, to a topic: a handle or a name."""
        if handle is None:
            raise TypeError("publish takes the handle that register_topic returned, or a topic's name, not None")
        self._publisher.publish(handle, data)

    def progress(self, note):
        """Say what the plugin is at; shown with the running job."""
        self._publisher.progress(note)

    def log(self, message):
        """Add a line to the job's output."""
        self._publisher.log(message)
