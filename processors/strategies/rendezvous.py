"""Rendezvous hashing: the same members and key make the same choice anywhere.

Rule: the member with the highest BLAKE2b of member and key is chosen (Thaler and
Ravishankar, 1998), so a member that joins or leaves moves only the keys it takes or had.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from bus.ports import Candidate

_LENGTH_BYTES: Final = 4
_WEIGHT_BYTES: Final = 8


def chosen(members: Sequence[Candidate], key: bytes) -> Candidate:
    """Return the one of one or more members that bids most for `key`."""
    return max(members, key=lambda member: weight(member.name, key))


def weight(member: str, key: bytes) -> tuple[bytes, str]:
    """Return what `member` bids for `key`; no two members bid the same."""
    name = member.encode()
    # The length in front keeps apart what would read the same run together.
    framed = len(name).to_bytes(_LENGTH_BYTES, "big") + name + key
    return blake2b(framed, digest_size=_WEIGHT_BYTES).digest(), member
