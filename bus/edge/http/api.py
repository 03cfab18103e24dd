"""Operations as routes of an aiohttp application.

Rule: who asks is established before anything else of a request is looked at; what comes
in and goes out is what the operation's types say.
"""

from collections.abc import Awaitable, Callable, Iterable
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from bus.adapters.clock import SystemClock
from bus.core.edgeerrors import ForbiddenError
from bus.core.edgelimits import ACCEPT_BYTES_MAX, ETAGS_MAX
from bus.core.errors import MalformedMessageError
from bus.edge.caller import Caller, Scope
from bus.edge.http import asking, problems
from bus.edge.http.asking import IDEMPOTENCY_KEY, IF_MATCH, JSON_MEDIA
from bus.edge.http.idempotency import Keys
from bus.edge.http.problems import Handler, HttpError
from bus.edge.operations import Operation

Who = Callable[[web.Request], Awaitable[Caller]]
"""Establishes who asks, or raises `UnauthenticatedError`."""

KEYS: Final = web.AppKey("keys", Keys)

_ETAG_BYTES: Final = 12
_encode: Final = msgspec.json.Encoder().encode
_WRITTEN: Final = {"Content-Type": JSON_MEDIA, "Cache-Control": "no-store"}


def add_operations(
    app: web.Application,
    operations: Iterable[Operation],
    who: Who,
    *,
    now_ns: Callable[[], int] | None = None,
) -> None:
    """Add a route for each operation; may be called more than once for an application.

    `now_ns` is the clock by which answers to idempotency keys are forgotten.
    """
    keys = prepare(app, now_ns)
    for operation in operations:
        handle = handler(operation, who, keys)
        if operation.method == "GET":
            app.router.add_get(operation.path, handle)  # and HEAD
        else:
            app.router.add_route(operation.method, operation.path, handle)


def prepare(app: web.Application, now_ns: Callable[[], int] | None = None) -> Keys:
    """Let an application answer with problems; return its idempotency keys."""
    if problems.answer not in app.middlewares:
        app.middlewares.append(problems.answer)
    if KEYS not in app:
        app[KEYS] = Keys(now_ns or SystemClock().now_ns)
    return app[KEYS]


def handler(
    operation: Operation, who: Who, keys: Keys, read: asking.Read | None = None
) -> Handler:
    """Return what answers the requests of an operation.

    `read` makes what it asks for from a request, where that is not as usual.
    """
    read = read or asking.reader(operation)
    if operation.method == "GET":
        return _reading(operation, who, read)
    return _writing(operation, who, keys, read)


def _reading(operation: Operation, who: Who, read: asking.Read) -> Handler:
    """Answer with a tag, or say that what the caller has is still right."""
    run = operation.run
    permitted = permits(operation.scope)

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await who(request)
        permitted(caller)
        require_acceptable(request, JSON_MEDIA)
        if IF_MATCH in request.headers:
            raise HttpError("precondition_failed", f"{IF_MATCH} is for what changes")
        answer = await run(caller, await read(request))
        body = _encode(answer)
        tag = _tag(answer, body)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        following = getattr(answer, "next", None)
        if following is not None:
            url = request.rel_url.update_query(after=following)
            headers["Link"] = f'<{url}>; rel="next"'
        if _is_known(request, tag):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        headers["Content-Type"] = JSON_MEDIA
        return web.Response(body=body, status=operation.status, headers=headers)

    return handle


def _writing(operation: Operation, who: Who, keys: Keys, read: asking.Read) -> Handler:
    """Carry out what is asked: once, where it comes with an idempotency key."""
    run = operation.run
    permitted = permits(operation.scope)
    conditional = "if_match" in operation.asks.__struct_fields__

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = await who(request)
        permitted(caller)
        headers = request.headers
        if headers.get("Accept", "*/*") not in {"*/*", JSON_MEDIA}:
            require_acceptable(request, JSON_MEDIA)
        if IF_MATCH in headers and not conditional:
            raise HttpError(
                "precondition_failed", f"nothing here has a tag: no {IF_MATCH}"
            )
        asked = await read(request)
        if operation.writes and IDEMPOTENCY_KEY in headers:
            return await _once(request, caller, asked)
        return _answered(operation, await run(caller, asked))

    async def _once(request: web.Request, caller: Caller, asked: Any) -> web.Response:
        name = idempotency_key(request)
        key = (caller.agent, operation.name, name)
        known = keys.begin(caller, key, _encode((str(request.rel_url), asked)))
        if known is not None:
            return _replayed(operation, known)
        try:
            body = _encoded(await run(caller, asked))
        except BaseException:
            keys.forget(caller, key)
            raise
        keys.keep(caller, key, b"" if operation.told_once else body)
        return _sent(operation, body)

    return handle


def permits(scope: Scope) -> Callable[[Caller], None]:
    """Return a check that a caller's credential is good for a scope."""
    enough = frozenset(had for had in Scope if had.covers(scope))

    def check(caller: Caller) -> None:
        if caller.scope not in enough:
            raise ForbiddenError(
                f"this takes a credential of scope {scope.value}, not "
                f"{caller.scope.value}"
            )

    return check


def idempotency_key(request: web.Request) -> str:
    """Return the idempotency key of a request that has one, or raise."""
    values = request.headers.getall(IDEMPOTENCY_KEY)
    if len(values) > 1:
        raise MalformedMessageError(f"{IDEMPOTENCY_KEY} is there twice")
    return asking.header_value("idempotency_key", values[0])


def require_acceptable(request: web.Request, *offered: str) -> str:
    """Return the first form offered that a request accepts, the dearest first.

    Raises:
        HttpError: it accepts none of them.
    """
    accept = request.headers.get("Accept", "*/*")
    if accept == "*/*":
        return offered[0]
    if len(accept) > ACCEPT_BYTES_MAX:
        raise MalformedMessageError(f"Accept: {ACCEPT_BYTES_MAX} bytes are allowed")
    best, found = 0.0, ""
    for media in offered:
        weight = _weight(accept, media)
        if weight > best:
            best, found = weight, media
    if not found:
        raise HttpError("not_acceptable", f"there is {', '.join(offered)}")
    return found


def _weight(accept: str, media: str) -> float:
    """Return how dear a form is to a request: the most exact range that names it counts."""
    kind = media.split("/", 1)[0]
    exactness, weight = -1, 0.0
    for part in accept.split(","):
        name, *parameters = (word.strip().lower() for word in part.split(";"))
        level = {media: 2, f"{kind}/*": 1, "*/*": 0}.get(name, -1)
        if level > exactness:
            exactness, weight = level, _quality(parameters)
    return weight


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value) if 0 <= float(value) <= 1 else 0.0
            except ValueError:
                return 0.0
    return 1.0


def _tag(answer: Any, body: bytes) -> str:
    """Return the tag of an answer: its own, or one of its bytes."""
    own = getattr(answer, "etag", None)
    return f'"{own or blake2b(body, digest_size=_ETAG_BYTES).hexdigest()}"'


def _is_known(request: web.Request, tag: str) -> bool:
    """Tell whether If-None-Match names a tag (weak comparison, RFC 9110 13.1.2)."""
    given = request.headers.get("If-None-Match")
    if given is None:
        return False
    tags = [one.strip().removeprefix("W/") for one in given.split(",", ETAGS_MAX)]
    return tag in tags or given.strip() == "*"


def _answered(operation: Operation, answer: Any) -> web.Response:
    return _sent(operation, _encoded(answer), tag=getattr(answer, "etag", None))


def _encoded(answer: Any) -> bytes:
    return b"" if answer is None else _encode(answer)


def _replayed(operation: Operation, known: bytes) -> web.Response:
    """Return the answer known for a key; raise `HttpError` where it is kept nowhere."""
    if operation.told_once:
        raise HttpError("conflict", "it was done, and its answer is told once")
    return _sent(operation, known, {"Idempotent-Replayed": "true"})


def _sent(
    operation: Operation,
    body: bytes,
    more: dict[str, str] | None = None,
    tag: str | None = None,
) -> web.Response:
    if operation.answers is None:
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=more)
    headers = _WRITTEN if more is None and tag is None else {**_WRITTEN, **(more or {})}
    if tag is not None:
        headers["ETag"] = f'"{tag}"'
    return web.Response(body=body, status=operation.status, headers=headers)
