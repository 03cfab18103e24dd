"""The operator's endpoint: alive, ready, metrics.

Rule: it answers from memory, so no request can hold up the bus, and says nothing about
messages. Alive and ready are for everybody; what is inside the node is for who may know.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from bus.core.edgeerrors import ForbiddenError
from bus.edge.caller import Caller, Scope

Check = Callable[[], tuple[bool, str]]
"""Tells whether a part is well, and a word about it. Must not wait."""

Render = Callable[[str], tuple[bytes, str]]
"""Turns an Accept header into the metrics' text and its content type."""

Insider = Callable[[web.Request], Awaitable[None]]
"""Returns if who asks may see inside the node; raises if not."""


class Health(msgspec.Struct, frozen=True):
    """What is told of a node, and who may see the details."""

    checks: Callable[[], Mapping[str, Check]]
    render: Render
    insider: Insider


def add_routes(app: web.Application, health: Health) -> None:
    """Serve /livez, /readyz and /metrics."""

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        verbose = "verbose" in request.query
        if verbose:
            await health.insider(request)
        results = [(name, *_result(check)) for name, check in health.checks().items()]
        ready = all(ok for _, ok, _ in results)
        shown = results if verbose else []
        lines = [f"[{'+' if ok else '-'}] {name}: {text}" for name, ok, text in shown]
        lines.append("ready" if ready else "not ready")
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text="\n".join(lines) + "\n", status=status)

    async def metrics(request: web.Request) -> web.Response:
        await health.insider(request)
        text, content_type = health.render(request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": content_type})

    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)


def insider_of(told: str, who: Callable[[web.Request], Awaitable[Caller]]) -> Insider:
    """Return who may see inside, as `http.metrics` says.

    `loopback` lets in who asks on this machine and not through a proxy; everybody else
    needs the credential of an operator, and so does everybody with `token`.
    """

    async def insider(request: web.Request) -> None:
        if told == "open" or (told == "loopback" and _is_near(request)):
            return
        caller = await who(request)
        if not caller.scope.covers(Scope.OPERATOR):
            raise ForbiddenError("this needs the credential of an operator")

    return insider


_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


def _is_near(request: web.Request) -> bool:
    """Tell whether a request comes from this machine itself, and was meant for it.

    A page whose name its owner points at this machine (DNS rebinding) asks for that name.
    """
    address = (request.remote or "").removeprefix("::ffff:")
    near = _is_loopback(address) and _names_loopback(request)
    return near and not any(name in request.headers for name in _FORWARDED)


def _names_loopback(request: web.Request) -> bool:
    try:
        host = request.url.host or ""
    except ValueError:  # whatever stands in the header Host
        return False
    return host == "localhost" or _is_loopback(host)


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False


def _result(check: Check) -> tuple[bool, str]:
    try:
        ok, text = check()
    except Exception as error:  # noqa: BLE001 - a check that breaks is a part not ready
        ok, text = False, f"{type(error).__name__}: {error}"
    return ok is True, " ".join(text.split())
