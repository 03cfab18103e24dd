"""Answers to writes that came with an idempotency key, for whoever asks again.

Rule: under one key of an agent one request is carried out, and its answer is the answer
to it; another request under that key is refused. What was refused may be tried again.
Bounded in number, bytes and time, and by tenant: the oldest of a tenant goes first.
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import msgspec

from bus.core.edgelimits import (
    IDEMPOTENCY_BYTES_MAX,
    IDEMPOTENCY_KEYS_MAX,
    IDEMPOTENCY_S,
    IDEMPOTENCY_TENANT_SHARES,
)
from bus.core.errors import OverloadedError
from bus.edge.caller import Caller
from bus.edge.http.problems import HttpError

_NS_PER_S: Final = 1_000_000_000
_OWN_BYTES: Final = 512  # what an answer takes beside its body, about
_RETRY_S: Final = 1.0

Key = tuple[str, str, str]
"""The agent, the operation, and the key it gave."""


class Known(msgspec.Struct, eq=False):
    """A request under a key; `body` is its answer, or None while it is carried out."""

    digest: bytes
    since_ns: int
    body: bytes | None = None

    @property
    def size(self) -> int:
        """What it takes, in bytes."""
        return _OWN_BYTES + len(self.body or b"")


class Keys:
    """The keys of one node."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._tenants: OrderedDict[str, OrderedDict[Key, Known]] = OrderedDict()
        self._count = 0
        self._bytes = 0
        self._bytes_of: dict[str, int] = {}

    def begin(self, caller: Caller, key: Key, asked: bytes) -> bytes | None:
        """Return the answer known for a key, or None: then the request is carried out.

        It is ended by `keep` or `forget`.

        Raises:
            HttpError: the key belongs to another request, or one under way.
            OverloadedError: the tenant has too many under way.
        """
        digest, now_ns = blake2b(asked, digest_size=16).digest(), self._now_ns()
        self._expire(caller.tenant, now_ns)
        known = self._known(caller.tenant, key)
        if known is None:
            self._add(caller.tenant, key, Known(digest, now_ns))
            return None
        if known.digest != digest:
            raise HttpError(
                "key_reused", "the first request under this key was another"
            )
        if known.body is None:
            raise HttpError("conflict", "the request of this key is under way")
        return known.body

    def keep(self, caller: Caller, key: Key, body: bytes) -> None:
        """Note what a request under way was answered."""
        known = self._known(caller.tenant, key)
        if known is not None and known.body is None:
            known.body = body
            self._count_in(caller.tenant, 0, len(body))
            self._make_room(caller.tenant)

    def forget(self, caller: Caller, key: Key) -> None:
        """Let a request that was not carried out be tried again."""
        known = self._known(caller.tenant, key)
        if known is not None and known.body is None:
            self._drop(caller.tenant, key)

    def __len__(self) -> int:
        return self._count

    def _known(self, tenant: str, key: Key) -> Known | None:
        theirs = self._tenants.get(tenant)
        return None if theirs is None else theirs.get(key)

    def _add(self, tenant: str, key: Key, known: Known) -> None:
        theirs = self._tenants.setdefault(tenant, OrderedDict())
        theirs[key] = known
        self._count_in(tenant, 1, known.size)
        self._make_room(tenant)
        if key not in theirs:
            raise OverloadedError("the table of keys", retry_after_s=_RETRY_S)

    def _make_room(self, tenant: str) -> None:
        """Drop the oldest of a tenant above its share, then of the tenants in turn."""
        share = IDEMPOTENCY_TENANT_SHARES
        theirs = self._tenants[tenant]
        while theirs and (
            len(theirs) > IDEMPOTENCY_KEYS_MAX // share
            or self._bytes_of[tenant] > IDEMPOTENCY_BYTES_MAX // share
        ):
            self._drop(tenant, _oldest(theirs))
        while self._count > IDEMPOTENCY_KEYS_MAX or self._bytes > IDEMPOTENCY_BYTES_MAX:
            other = next(iter(self._tenants))
            self._tenants.move_to_end(other)
            self._drop(other, _oldest(self._tenants[other]))

    def _expire(self, tenant: str, now_ns: int) -> None:
        theirs = self._tenants.get(tenant)
        until_ns = now_ns - int(IDEMPOTENCY_S * _NS_PER_S)
        while theirs:
            key, known = next(iter(theirs.items()))
            if known.since_ns >= until_ns:
                return
            self._drop(tenant, key)

    def _drop(self, tenant: str, key: Key) -> None:
        theirs = self._tenants[tenant]
        self._count_in(tenant, -1, -theirs.pop(key).size)
        if not theirs:
            del self._tenants[tenant], self._bytes_of[tenant]

    def _count_in(self, tenant: str, count: int, size: int) -> None:
        self._count += count
        self._bytes += size
        self._bytes_of[tenant] = self._bytes_of.get(tenant, 0) + size


def _oldest(theirs: "OrderedDict[Key, Known]") -> Key:
    """Return the oldest that was answered: what is under way would be done twice.

    Where all are under way it is the newest, which is refused.
    """
    for key, known in theirs.items():
        if known.body is not None:
            return key
    return next(reversed(theirs))
