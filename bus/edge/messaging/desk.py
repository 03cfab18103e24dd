"""All that clients may ask about messages: the rows, and what carries them out.

Rule: no row knows of HTTP; one that has more forms than JSON is opened by its door too.
"""

from bus.edge.caller import Scope
from bus.edge.connections import Connections
from bus.edge.gate import Gate
from bus.edge.messaging import asked, pullasked, streams
from bus.edge.messaging.eventing import Eventing
from bus.edge.messaging.families import Families
from bus.edge.messaging.kept import Kept
from bus.edge.messaging.publishing import Publishing
from bus.edge.messaging.pulls import Pulls
from bus.edge.messaging.stories import Stories
from bus.edge.messaging.streams import Start, Streams
from bus.edge.operations import Operation

_PUBLISHING = (
    "bad_subject",
    "bad_body",
    "denied",
    "dropped",
    "overloaded",
    "no_responders",
    "expired",
    "constitutional",
    "unavailable",
    "processing_failed",
    "policy_unavailable",
    "store_unavailable",
    "audit_stalled",
    "not_started",
)
_LOOKING = ("not_found", "store_unavailable", "policy_unavailable", "not_started")


class Desk:
    """Answers what clients ask about messages. `start` runs what goes on in between."""

    def __init__(self, gate: Gate, connections: Connections, start: Start) -> None:
        self._gate = gate
        kept = Kept(gate)
        durable = kept.host.ledger is not None
        self.publishing = Publishing(gate, durable=durable)
        self.eventing = Eventing(gate, durable=durable)
        self.stories = Stories(gate, kept)
        self.families = Families(kept)
        self.streams = Streams(kept, start)
        self.pulls = Pulls(gate, kept, connections, start)
        self.connections = connections
        self.operations = (*_published(self), *_asked_after(self), *_taken(self))

    def operation(self, name: str) -> Operation:
        """Return the row of that name."""
        return next(row for row in self.operations if row.name == name)

    @property
    def revision(self) -> str:
        """The policy revision in force."""
        return self._gate.bus.revision

    async def close(self) -> None:
        """Let everybody go who waits, and every consumer that is held."""
        self.streams.close()
        await self.pulls.close()


def _published(desk: Desk) -> tuple[Operation, ...]:
    return (
        Operation(
            name="publishMessage",
            method="POST",
            path="/v1/messages",
            summary="Publish a message",
            scope=Scope.AGENT,
            asks=asked.Publish,
            answers=asked.Outcome,
            run=desk.publishing.publish,
            status=202,
            writes=True,
            errors=_PUBLISHING,
        ),
        Operation(
            name="publishMessages",
            method="POST",
            path="/v1/messages/batch",
            summary="Publish messages in order",
            scope=Scope.AGENT,
            asks=asked.Batch,
            answers=asked.Outcomes,
            run=desk.publishing.batch,
            writes=True,
            errors=_PUBLISHING,
        ),
        Operation(
            name="sendRequest",
            method="POST",
            path="/v1/requests",
            summary="Publish a query and wait for the first reply",
            scope=Scope.AGENT,
            asks=asked.Request,
            answers=asked.Content,
            run=desk.publishing.request,
            writes=True,
            errors=(*_PUBLISHING, "timeout", "remote_fault"),
        ),
    )


def _asked_after(desk: Desk) -> tuple[Operation, ...]:
    return (
        Operation(
            name="readMessage",
            method="GET",
            path="/v1/messages/{id}",
            summary="Read a message that is kept or held",
            scope=Scope.AGENT,
            asks=asked.OfMessage,
            answers=asked.Detail,
            run=desk.stories.detail,
            errors=_LOOKING,
        ),
        Operation(
            name="readTimeline",
            method="GET",
            path="/v1/messages/{id}/timeline",
            summary="Read what happened to a message",
            scope=Scope.AGENT,
            asks=asked.OfMessage,
            answers=asked.Timeline,
            run=desk.stories.timeline,
            errors=(*_LOOKING, "audit_stalled"),
        ),
        Operation(
            name="readTree",
            method="GET",
            path="/v1/messages/{id}/tree",
            summary="Read what came of a message",
            scope=Scope.AGENT,
            asks=asked.OfMessage,
            answers=asked.Tree,
            run=desk.families.tree,
            errors=_LOOKING,
        ),
    )


def _taken(desk: Desk) -> tuple[Operation, ...]:
    return (
        Operation(
            name="readStream",
            method="GET",
            path="/v1/streams/{name}/messages",
            summary="Read a stream, page by page or as it comes",
            scope=Scope.AGENT,
            asks=streams.Read,
            answers=streams.StreamPage,
            run=desk.streams.read,
            errors=(*_LOOKING, "bad_subject", "denied", "overloaded"),
        ),
        Operation(
            name="pullMessages",
            method="POST",
            path="/v1/consumers/{name}/pull",
            summary="Take messages for a consumer",
            scope=Scope.AGENT,
            asks=pullasked.Pull,
            answers=pullasked.Deliveries,
            run=desk.pulls.pull,
            writes=True,
            errors=(*_LOOKING, "bad_subject", "denied", "conflict", "overloaded"),
        ),
        Operation(
            name="settleMessages",
            method="POST",
            path="/v1/consumers/{name}/settle",
            summary="Ack, nak, term or keep what was pulled",
            scope=Scope.AGENT,
            asks=pullasked.Settle,
            answers=pullasked.SettledItems,
            run=desk.pulls.settle,
            writes=True,
            errors=("not_started",),
        ),
    )
