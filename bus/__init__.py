"""Agent message bus: validate, authorise, process, deliver, record.

Rule: this file imports nothing. A name is looked up in its module when it is first
asked for, so that `policy`, which needs `bus.core`, does not load the whole bus, and
`import bus` costs next to nothing. What a type checker sees is in `__init__.pyi`.
"""

from importlib import import_module

_HOMES = {
    "Bus": "bus.app",
    "Agent": "bus.agent",
    "connect": "bus.remote.client",
    "RemoteBus": "bus.remote.client",
    "RemoteAgent": "bus.remote.agent",
    "Gap": "bus.remote.subscription",
    "Delivery": "bus.subscription",
    "Settings": "bus.config",
    "DeadLetter": "bus.letters",
    "StoredLetter": "bus.letterbox",
    "HeldMessage": "bus.holds",
    "Message": "bus.core.message",
    "Priority": "bus.core.message",
    "Outcome": "bus.core.outcome",
    "Accepted": "bus.core.outcome",
    "Denied": "bus.core.outcome",
    "Held": "bus.core.outcome",
    "Dropped": "bus.core.outcome",
    "Rejected": "bus.core.outcome",
    "Failed": "bus.core.outcome",
    "Receipt": "bus.core.outcome",
}

__all__ = [  # noqa: PLE0604 - the names are those of the table
    *_HOMES
]


def __getattr__(name: str) -> object:
    """Load a public name, once: afterwards it is an attribute like any other."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'bus' has no attribute {name!r}")
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
