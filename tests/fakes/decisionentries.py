"""Entries of a decision log, each of which can be told from every other."""

from bus.core.decision import Decision
from bus.core.message import Message
from policy.decisionlog.event import Entry
from tests.fakes import policies
from tests.fakes.messages import NOW_NS

ALLOWED = Decision(allow=True, reasons=(), revision="r1", digest="d1", cached=True)


def entry(
    decision_id: str, asked: Message | None = None, decision: Decision = ALLOWED
) -> Entry:
    """Return an entry for a message of the planner's."""
    message = asked or policies.message()
    return (decision_id, NOW_NS, "publish", message, ("planner",), decision, 500, 1, "")
