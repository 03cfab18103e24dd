"""The operator's control channel: commands to a running bus, over a UNIX socket."""

from bus.adapters.control.client import ask
from bus.adapters.control.server import serve
from bus.adapters.control.wire import Command, command

__all__ = ["Command", "ask", "command", "serve"]
