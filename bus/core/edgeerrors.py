"""Exceptions of the edge: who somebody is, what a credential is good for, what is there.

BusError
├── UnauthenticatedError   the peer: who it is could not be established
├── ForbiddenError         the peer: its credential is not good for that
├── NotFoundError          the peer: there is no such thing for it
└── ConflictError          the peer: what it builds on has changed meanwhile
"""

from bus.core.errors import BusError


class UnauthenticatedError(BusError):
    """No credential, or one that is wrong, expired, revoked or of an unknown issuer."""

    code = "unauthenticated"


class ForbiddenError(BusError):
    """The credential is valid, and not good for what was asked."""

    code = "forbidden"


class NotFoundError(BusError):
    """There is no such thing, or it is another tenant's."""

    code = "not_found"


class ConflictError(BusError):
    """What was to be changed is not what the caller has seen; read it again."""

    code = "conflict"
