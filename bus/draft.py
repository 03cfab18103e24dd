"""Makes messages: identity, lineage and time come from here, never from a caller.

Rule: sender and tenant are the principal's, root, parent and depth those of the
message whose handler is running, the time is the clock's.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Final, TypedDict

import msgspec

from bus.core import subject as grammar, validation
from bus.core.codec import encode_any
from bus.core.decision import Principal
from bus.core.errors import LimitExceededError, MalformedMessageError, SubjectError
from bus.core.features import DEDUP_HEADER, DUE_HEADER, due_at
from bus.core.ids import IdSource
from bus.core.limits import LINEAGE_AUTHORS_MAX, SUBJECT_BYTES_MAX
from bus.core.message import EVENT, OCTETS, ORDERING_KEY, Message
from bus.subscription import handled

NORMAL: Final = 1


class Extras(TypedDict, total=False):
    """What a publisher may set beside subject, body, type and priority.

    `content_type` says what bytes are; the rest is MessagePack. `ttl` is in seconds; an
    expired message is not delivered. `correlation` and `causation` are short ids of the
    publisher's own, carried and stamped, never trusted. A handler's return value goes
    to `reply_to`. Messages with one `ordering_key` are handled one at a time, in the
    order they were accepted; it travels as the header `assent-ordering-key`.

    On a bus with a store: of an agent's messages with one `dedup` name, one is kept within
    the stream's window, and `delay` is how many seconds, or until when, a message waits.
    """

    headers: dict[str, str]
    ttl: float
    reply_to: str
    correlation: str
    causation: str
    content_type: str
    ordering_key: str
    dedup: str
    delay: float | datetime


class Options(msgspec.Struct, frozen=True):
    """`Extras` with a place for each; None is what was not set."""

    headers: dict[str, str] | None = None
    ttl: float | None = None
    reply_to: str | None = None
    correlation: str | None = None
    causation: str | None = None
    content_type: str | None = None
    ordering_key: str | None = None
    dedup: str | None = None
    delay: float | datetime | None = None


NO_OPTIONS: Final = Options()
Descent = tuple[bytes | None, bytes | None, int, tuple[str, ...]]
"""(root, parent, depth, authors) of a message."""
_UNCAUSED: Final[Descent] = (None, None, 0, ())

# Bound once: a method of an imported object is looked up anew at each call.
_parent: Final = handled.get


class Terms:
    """What every message is made under; one per bus, changed by a reload."""

    __slots__ = ("constitution", "ids", "now_ns", "revision")

    def __init__(
        self, ids: IdSource, now_ns: Callable[[], int], constitution: str, revision: str
    ) -> None:
        self.ids = ids
        self.now_ns = now_ns
        self.constitution = constitution
        self.revision = revision


class Author:
    """Who messages are from, and the terms they are made under.

    `inbox` is where its replies arrive, once it has one.
    """

    __slots__ = ("id", "inbox", "tenant", "terms")

    def __init__(self, terms: Terms, principal: Principal) -> None:
        self.terms = terms
        self.tenant = principal.tenant
        self.id = principal.id
        self.inbox = ""


def draft(
    author: Author,
    subject: str,
    body: object,
    type_: str = EVENT,
    priority: int = NORMAL,
    options: Options | None = None,
) -> Message:
    """Return an unstamped message.

    Raises:
        ProtocolError: something the publisher set breaks a rule.
    """
    terms = author.terms
    now_ns = terms.now_ns
    now = now_ns()
    if type(body) is bytes:
        content_type = OCTETS
    else:
        body, content_type = encode_any(body)
    if type_ is not EVENT:
        validation.check_type(type_)
    if priority is not NORMAL:
        priority = validation.check_priority(priority)
    parent = _parent()
    if parent is not None or options is not None:
        given = NO_OPTIONS if options is None else options
        return _linked(
            author,
            (subject, type_, priority, content_type, body, now),
            parent,
            given,
        )
    # A call with positional arguments only: keywords cost as much again.
    return Message(
        terms.ids.next(now),
        subject,
        type_,
        priority,
        author.tenant,
        author.id,
        content_type,
        body,
        now,
        terms.constitution,
        terms.revision,
    )


def authors_after(parent: Message) -> tuple[str, ...]:
    """Return whose messages led to one that `parent` caused: each by its latest one."""
    sender = parent.sender
    return (*(author for author in parent.authors if author != sender), sender)


def descend_from(reply: Message) -> None:
    """Note, in a handler, that what it publishes from here on may come of a reply."""
    handling = handled.get()
    if handling is None:
        return
    heard = (*reply.authors, reply.sender)
    before = (author for author in heard if author not in handling.authors)
    authors = tuple(dict.fromkeys((*before, *handling.authors)))
    handled.set(msgspec.structs.replace(handling, authors=authors))


def check_reply_to(subject: str, author: Author) -> None:
    """Raise `SubjectError` unless an author may name it for replies: not others' inboxes."""
    if subject == author.inbox and subject:
        return  # of the bus's own making
    grammar.parse(subject)
    if subject.startswith("$"):
        raise SubjectError(f"reply_to {subject!r}: '$' belongs to the bus")


def _linked(
    author: Author,
    plain: tuple[str, str, int, str, bytes, int],
    parent: Message | None,
    options: Options,
) -> Message:
    """Return a message with a parent, or with options."""
    subject, type_, priority, content_type, body, now = plain
    terms = author.terms
    headers = _headers(options, now)
    if options.reply_to is not None:
        check_reply_to(options.reply_to, author)
    if options.correlation is not None:
        validation.check_claim("correlation", options.correlation)
    if options.causation is not None:
        validation.check_claim("causation", options.causation)
    if options.content_type is not None:
        if content_type != OCTETS:
            raise MalformedMessageError("content_type is for a body of bytes")
        validation.check_claim("content type", options.content_type)
        content_type = options.content_type
    root, cause, depth, authors = _UNCAUSED if parent is None else _descent(parent)
    return Message(
        terms.ids.next(now),
        subject,
        type_,
        priority,
        author.tenant,
        author.id,
        content_type,
        body,
        now,
        terms.constitution,
        terms.revision,
        headers,
        options.reply_to,
        options.correlation,
        options.causation,
        root,
        cause,
        depth,
        authors,
        None if options.ttl is None else validation.expiry_ns(now, options.ttl),
    )


def _headers(options: Options, now_ns: int) -> dict[str, str]:
    """Return headers of the message's own, with those that options stand for."""
    given = options.headers or {}
    if given:
        validation.check_headers(given)
    plain = options.ordering_key is None and options.dedup is None
    if plain and options.delay is None:
        return dict(given)
    asked = _asked(options, now_ns)
    for name, value in asked.items():
        if given.get(name, value) != value:
            raise MalformedMessageError(
                f"{value!r} is not what header {name} says, which the bus sets"
            )
    headers = {**given, **asked}
    if given:
        validation.check_headers(headers)  # one more may be one too many
    return headers


def _asked(options: Options, now_ns: int) -> dict[str, str]:
    """Return the headers that options stand for."""
    asked = {}
    if options.ordering_key is not None:
        validation.check_ordering_key(options.ordering_key)
        asked[ORDERING_KEY] = options.ordering_key
    if options.dedup is not None:
        validation.check_claim("dedup name", options.dedup)
        asked[DEDUP_HEADER] = options.dedup
    if options.delay is not None:
        asked[DUE_HEADER] = str(due_at(options.delay, now_ns))
    return asked


def _descent(parent: Message) -> Descent:
    root, authors = parent.root or parent.id, authors_after(parent)
    if len(authors) > LINEAGE_AUTHORS_MAX:
        raise LimitExceededError(
            "lineage authors", actual=len(authors), allowed=LINEAGE_AUTHORS_MAX
        )
    return root, parent.id, parent.depth + 1, authors


def stub(author: Author, subject: object) -> Message:
    """Return an empty message in place of one that could not be made: for the record."""
    terms = author.terms
    now = terms.now_ns()
    return Message(
        terms.ids.next(now),
        str(subject)[:SUBJECT_BYTES_MAX],
        EVENT,
        NORMAL,
        author.tenant,
        author.id,
        "",
        b"",
        now,
        terms.constitution,
        terms.revision,
    )
