"""Answers what is no HTTP, before any door sees it.

Rule: a problem like any other, which says nothing of what it is made of and repeats
nothing of what was sent; and one short line in the log, since anybody can cause it.
"""

import logging
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bus.edge.http import problems

_log: Final = logging.getLogger("assent.http")
HEADERS: Final = {"Server": "assent", "X-Content-Type-Options": "nosniff"}
"""What every answer has."""


class Handler(web.RequestHandler):
    """One connection's HTTP."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what cannot be handled, and close.

        Raises:
            ConnectionError: a part of an answer is out already.
        """
        del message  # it quotes the request
        theirs = isinstance(exc, HttpProcessingError)
        if theirs:
            _log.info("%s sent what is no HTTP: %s", request.remote, type(exc).__name__)
        else:
            _log.error("a request of %s failed", request.remote, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        code = "malformed" if theirs else "internal"
        found = problems.problem(code, status=status)
        answer = problems.response(found, dict(HEADERS))
        answer.force_close()
        return answer
