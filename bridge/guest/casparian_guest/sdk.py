"""A stand-in for casparian_flow.sdk, which plugins import and environments lack.

Put into sys.modules under that name when the real package cannot be imported.
"""
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

__all__ = ["BasePlugin", "FileEvent", "PluginMetadata"]


@dataclass
class FileEvent:
    path: str
    file_id: int = 0
    event_type: str = "file_found"
    metadata: Dict[str, Any] = field(default_factory=dict)


@dataclass
class PluginMetadata:
    pattern: Optional[str] = None
    topic: Optional[str] = None
    priority: int = 50
    subscriptions: List[str] = field(default_factory=list)
    sinks: Dict[str, Any] = field(default_factory=dict)
    version: str = "1.0.0"
    description: Optional[str] = None


class BasePlugin:
    # On the class, so that a subclass need not call our constructor.
    _context = None
    _config = None
    _handles = None

    def configure(self, ctx, config):
        self._context = ctx
        self._config = config

    @property
    def config(self):
        return self._config

    def consume(self, event):
        raise NotImplementedError("%s implements neither consume(event) nor execute(path)" % type(self).__name__)

    def execute(self, file_path):
        return self.consume(FileEvent(file_path))

    def publish(self, topic, data):
        if self._context is None:
            raise RuntimeError("publish before configure: %s.configure must call super().configure(ctx, config)"
                               % type(self).__name__)
        if self._handles is None:
            self._handles = {}
        if topic not in self._handles:
            self._handles[topic] = self._context.register_topic(topic)
        self._context.publish(self._handles[topic], data)
