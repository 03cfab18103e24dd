"""What can be asked of a node over HTTP: one row for each operation.

Rule: an operation is a function of the caller and one typed struct, and knows nothing of
HTTP. What decodes a request, what checks it, and what the OpenAPI document says of it are
the same types.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from bus.edge.caller import Caller, Scope

Method = Literal["GET", "POST", "PUT", "DELETE"]


class Asks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what is asked. Fields named in the path come from there.

    The others come from the query of a GET or DELETE, and from the JSON body of a POST or
    PUT.
    """


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One row: `asks` and `answers` are msgspec structs, `run` turns one into the other.

    `run` raises the errors of `bus.core.errors`; the door turns their codes into problem
    details. `writes` marks what changes something: such a request of a browser's session
    needs its CSRF token, and takes an idempotency key. `answers` None is 204, no content.
    `told_once` marks an answer that has a secret in it: it is kept under no key.
    """

    name: str
    method: Method
    path: str
    summary: str
    scope: Scope
    asks: type[Asks]
    answers: Any
    run: Callable[[Caller, Any], Awaitable[Any]]
    status: int = 200
    writes: bool = False
    told_once: bool = False
    errors: tuple[str, ...] = ()


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Base of a list that is read in pages: `next` is the cursor of the page after it."""

    next: str | None = None
