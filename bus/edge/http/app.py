"""The application that a node serves: health, operations, and every other door.

Rule: doors are given, so that this knows none of them. What they share is here: problem
details, headers that hold for every answer, and bounds on what is read.
"""

from collections.abc import Callable, Iterable
from typing import Final

from aiohttp import web

from bus.core.edgelimits import HTTP_REQUEST_BYTES_MAX
from bus.edge.http import health as checking, problems
from bus.edge.http.health import Health

Application = web.Application
"""What is served; a node hands it on and knows nothing more of it."""

AddRoutes = Callable[[Application], None]
"""Adds a door to the application."""

_HSTS: Final = "max-age=31536000"


def application(
    health: Health,
    doors: Iterable[AddRoutes] = (),
    *,
    ending: Callable[[], bool] = lambda: False,
) -> web.Application:
    """Return the application; `ending` tells that the node stops."""

    async def marked(request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers["Server"] = "assent"  # not what it is made of, nor in which version
        headers["X-Content-Type-Options"] = "nosniff"
        if request.secure:
            headers["Strict-Transport-Security"] = _HSTS
        if ending():
            headers["Connection"] = "close"
            response.force_close()

    app = web.Application(
        middlewares=[problems.answer], client_max_size=HTTP_REQUEST_BYTES_MAX
    )
    app.on_response_prepare.append(marked)
    checking.add_routes(app, health)
    for add in doors:
        add(app)
    return app
