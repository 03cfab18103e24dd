"""Names of agents, tenants and queue groups."""

import re
from typing import Final

from bus.core.errors import MalformedMessageError
from bus.core.limits import NAME_BYTES_MAX, TENANT_CHARS_MAX, TENANT_CHARS_MIN

SYSTEM_AGENT: Final = "$bus"

_TENANT: Final = re.compile(
    rf"[a-z0-9_-]{{{TENANT_CHARS_MIN},{TENANT_CHARS_MAX}}}", re.ASCII
)
_NAME: Final = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_:@-]{{0,{NAME_BYTES_MAX - 1}}}")


def check_tenant(name: str) -> str:
    """Return a tenant id, or raise `MalformedMessageError`: `[a-z0-9_-]{3,64}`."""
    if not isinstance(name, str):
        raise MalformedMessageError(f"a tenant is a string, not {type(name).__name__}")
    if _TENANT.fullmatch(name) is None:
        raise MalformedMessageError(
            f"tenant {name!r}: 3 to 64 of a-z, 0-9, '_' and '-', lower case"
        )
    return name


def check_name(kind: str, name: str) -> str:
    """Return the name of an agent or queue group, or raise `MalformedMessageError`."""
    if not isinstance(name, str):
        raise MalformedMessageError(f"{kind}: a string, not {type(name).__name__}")
    if _NAME.fullmatch(name) is None:
        raise MalformedMessageError(
            f"{kind} {name!r}: up to {NAME_BYTES_MAX} of letters, digits, "
            "'_', '-', ':' and '@', starting with a letter, digit or '_'"
        )
    return name
