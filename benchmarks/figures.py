"""What every peer publishes, and the line it prints."""

import json
from importlib import metadata
from typing import Final

import msgspec

BODY: Final = b"x" * 220
TEXT: Final = BODY.decode()
SUBJECT: Final = "agents.a.task"
TURN: Final = 64  # messages published before the loop gets a turn


class Figure(msgspec.Struct, frozen=True):
    """How many messages went through in how many seconds."""

    peer: str
    package: str
    messages: int
    seconds: float
    does: str

    def line(self) -> str:
        """Return the figure as one line of JSON."""
        return json.dumps(
            {
                "peer": self.peer,
                "version": metadata.version(self.package),
                "messages": self.messages,
                "per_second": round(self.messages / self.seconds),
                "us_each": round(self.seconds / self.messages * 1e6, 2),
                "does": self.does,
            }
        )
