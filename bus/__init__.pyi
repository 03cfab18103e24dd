from bus.agent import Agent
from bus.app import Bus
from bus.config import Settings
from bus.core.message import Message, Priority
from bus.core.outcome import (
    Accepted,
    Denied,
    Dropped,
    Failed,
    Held,
    Outcome,
    Receipt,
    Rejected,
)
from bus.holds import HeldMessage
from bus.letterbox import StoredLetter
from bus.letters import DeadLetter
from bus.remote.agent import RemoteAgent
from bus.remote.client import RemoteBus, connect
from bus.remote.subscription import Gap
from bus.subscription import Delivery

__all__ = [
    "Bus",
    "Agent",
    "connect",
    "RemoteBus",
    "RemoteAgent",
    "Gap",
    "Delivery",
    "Settings",
    "DeadLetter",
    "StoredLetter",
    "HeldMessage",
    "Message",
    "Priority",
    "Outcome",
    "Accepted",
    "Denied",
    "Held",
    "Dropped",
    "Rejected",
    "Failed",
    "Receipt",
]
