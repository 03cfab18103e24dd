"""The states of a revision, from draft to revoked, as a table.

Rule: what the table does not have is not allowed. Two states may be in force; nothing
leads out of revoked.
"""

from enum import StrEnum
from typing import Final

from bus.core.errors import IllegalTransitionError


class State(StrEnum):
    """Where a revision is in its life."""

    ABSENT = "absent"
    DRAFT = "draft"
    PENDING_REVIEW = "pending_review"
    APPROVED = "approved"
    PUBLISHED = "published"
    DEPRECATED = "deprecated"
    REVOKED = "revoked"


class Event(StrEnum):
    """What somebody does with it."""

    DRAFT = "draft"
    SUBMIT = "submit"
    APPROVE = "approve"
    REJECT = "reject"
    PUBLISH = "publish"
    DEPRECATE = "deprecate"
    REVOKE = "revoke"


TABLE: Final = {
    (State.ABSENT, Event.DRAFT): State.DRAFT,
    (State.ABSENT, Event.REVOKE): State.REVOKED,
    (State.DRAFT, Event.SUBMIT): State.PENDING_REVIEW,
    (State.DRAFT, Event.REVOKE): State.REVOKED,
    (State.PENDING_REVIEW, Event.APPROVE): State.APPROVED,
    (State.PENDING_REVIEW, Event.REJECT): State.DRAFT,
    (State.PENDING_REVIEW, Event.REVOKE): State.REVOKED,
    (State.APPROVED, Event.PUBLISH): State.PUBLISHED,
    (State.APPROVED, Event.REVOKE): State.REVOKED,
    (State.PUBLISHED, Event.DEPRECATE): State.DEPRECATED,
    (State.PUBLISHED, Event.REVOKE): State.REVOKED,
    (State.DEPRECATED, Event.REVOKE): State.REVOKED,
}

ACTIVE: Final = frozenset({State.PUBLISHED, State.DEPRECATED})
"""States in which a revision may be in force."""


def advance(state: State, event: Event) -> State:
    """Return the state after an event.

    Raises:
        IllegalTransitionError: the table has no such event in this state.
    """
    after = TABLE.get((state, event))
    if after is None:
        possible = ", ".join(e for s, e in TABLE if s is state) or "nothing"
        raise IllegalTransitionError(
            f"{event} is not possible for what is {state}; {possible} is"
        )
    return after
