"""Keeps messages under the constitution in force.

Rule: a message passes only if it names this constitution, its stamp holds under a key
of the ring, and its time is not over; checked in that order, each with its own error.
"""

import re
from typing import Final

from bus.core.errors import (
    ConstitutionError,
    HashMismatchError,
    MessageExpiredError,
    StampMismatchError,
)
from bus.core.message import Message
from bus.core.stamp import COVERED, ODD_FIELD, KeyRing, encode, same

_HASH: Final = re.compile(r"[0-9a-f]{16}")


class ComplianceValidator:
    """The `bus.ports.Validator` of one constitution and one key ring.

    To rotate keys or change the constitution, make another one.

    Raises:
        ConstitutionError: `constitution_hash` is not 16 lower-case hex digits.
    """

    __slots__ = ("_expected", "_fresh", "_prefix", "_verify", "constitution", "seal")

    def __init__(self, constitution_hash: str, ring: KeyRing) -> None:
        if _HASH.fullmatch(constitution_hash) is None:
            raise ConstitutionError(
                f"constitution hash {constitution_hash!r}: "
                "16 digits of 0-9 and a-f are needed"
            )
        self.constitution = constitution_hash
        self.seal = ring.seal
        self._fresh = ring.fresh
        self._prefix = ring.prefix
        self._verify = ring.verify

    def check(self, message: Message, now_ns: int) -> None:
        """Return if hash, stamp and expiry hold.

        Raises:
            HashMismatchError: it names another constitution.
            UnknownKeyError: stamped under a key that is not in the ring.
            StampMismatchError: a covered field or the stamp was changed.
            MessageExpiredError: `now_ns` has reached its expiry.
        """
        if message.constitution != self.constitution:
            raise HashMismatchError(
                actual=message.constitution, expected=self.constitution
            )
        # The common case, inlined: stamped under the active key, unchanged. It saves
        # 0.2 us a message over the call. It can only say yes; all else goes to `verify`.
        fresh = self._fresh
        state = fresh()
        try:
            state.update(encode(message)[COVERED])
            stamped = same(self._prefix + state.digest(), message.stamp)
        except ODD_FIELD:
            stamped = False
        if not stamped:
            self._verify(message)
        expires_ns = message.expires_ns
        if expires_ns is not None:
            if type(expires_ns) is not int:
                raise StampMismatchError(
                    f"expiry is {type(expires_ns).__name__}; an integer is needed"
                )
            if now_ns >= expires_ns:
                raise MessageExpiredError(
                    f"message {message.id.hex()} expired "
                    f"{(now_ns - expires_ns) / 1e9:.3f} s ago"
                )
