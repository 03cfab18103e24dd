"""What went wrong, as problem details (RFC 9457): one status and one title for each code.

Rule: a code is stable and is what a program looks at; of a fault of our own nothing of
the inside is told, and the whole of it is logged.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

from bus.core.errors import (
    BusError,
    DeniedError,
    LimitExceededError,
    OverloadedError,
)

MEDIA: Final = "application/problem+json"
_TYPE: Final = "urn:assent:error:"
_RETRY_S: Final = 1.0

_log: Final = logging.getLogger("assent.http")
_encode: Final = msgspec.json.Encoder().encode

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CODES: Final[dict[str, tuple[int, str]]] = {
    "protocol": (400, "The request breaks the contract"),
    "malformed": (400, "The request is malformed"),
    "bad_subject": (400, "A subject or pattern breaks the grammar"),
    "bad_body": (400, "The body cannot be carried"),
    "limit_exceeded": (400, "A bound is exceeded"),
    "forged_sender": (400, "The message is not from who presents it"),
    "constitutional": (400, "The message does not stand under the constitution"),
    "hash_mismatch": (400, "The message names another constitution"),
    "stamp_mismatch": (400, "The message was changed after stamping"),
    "unknown_key": (400, "The message was stamped under an unknown key"),
    "expired": (400, "The message's time is over"),
    "usage": (400, "The call cannot be right"),
    "unauthenticated": (401, "Who you are could not be established"),
    "forbidden": (403, "The credential is not good for this"),
    "denied": (403, "Policy said no"),
    "not_found": (404, "There is no such thing"),
    "unknown_agent": (404, "Policy data name no such agent"),
    "not_held": (404, "No message is held under that id"),
    "no_responders": (404, "Nobody subscribes to the subject"),
    "method_not_allowed": (405, "The path does not take this method"),
    "not_acceptable": (406, "No form that the request accepts"),
    "held": (409, "The message waits for its release"),
    "conflict": (409, "What this builds on has changed"),
    "already_settled": (409, "The delivery was settled before"),
    "precondition_failed": (412, "The condition does not hold"),
    "too_large": (413, "The request is too large"),
    "uri_too_long": (414, "The address is too long"),
    "unsupported_media_type": (415, "No form that the path takes"),
    "expectation_failed": (417, "The expectation cannot be met"),
    "dropped": (422, "A processing stage ended the message"),
    "key_reused": (409, "The idempotency key belongs to another request"),
    "bad_policy": (422, "The policy was refused"),
    "overloaded": (429, "There is no room now"),
    "internal": (500, "A fault of the server's own"),
    "remote_fault": (502, "The handler gave the request up"),
    "unavailable": (503, "A part does not answer now"),
    "not_started": (503, "The bus takes no more"),
    "processing_failed": (503, "A processing stage failed"),
    "policy_unavailable": (503, "Policy cannot be asked now"),
    "store_unavailable": (503, "The store cannot keep anything now"),
    "audit_stalled": (503, "The audit record cannot be written now"),
    "timeout": (504, "No reply came in time"),
}
"""Each stable code with its status and title; what is not here is `internal`."""

_BY_STATUS: Final = {
    400: "malformed",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    412: "precondition_failed",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    417: "expectation_failed",
    422: "protocol",
    429: "overloaded",
    502: "remote_fault",
    503: "unavailable",
    504: "timeout",
}
_SIZES: Final = frozenset({"body bytes", "payload bytes", "frame bytes"})
_OF_STREAM: Final = "body bytes in "
_HTTP_ERROR: Final = 400
_SERVER_ERROR: Final = 500


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Problem details. `retry_after` is in seconds; `reasons` are policy's own words."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    decision_id: str = ""
    reasons: tuple[str, ...] = ()
    revision: str = ""
    retry_after: float | None = None


class HttpError(BusError):
    """A request that is refused by its HTTP alone: `kind` is a code of `CODES`."""

    code = "http"

    def __init__(self, kind: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.headers = {
            name.replace("_", "-"): value for name, value in headers.items()
        }


def problem(code: str, detail: str = "", *, status: int | None = None) -> Problem:
    """Return problem details of a code, with another status where one is given."""
    usual, title = CODES[code]
    return Problem(
        type=_TYPE + code,
        title=title,
        status=status or usual,
        code=code,
        detail=detail,
    )


def problem_of(error: BaseException, *, conditional: bool = False) -> Problem:
    """Return what is told of an exception.

    `conditional` says that the request came with If-Match, so that a conflict is a
    failed precondition. An exception that is not the caller's business is `internal`.
    """
    if isinstance(error, HttpError):
        return problem(error.kind, str(error))
    if not isinstance(error, BusError) or error.code not in CODES:
        return problem("internal")
    made = problem(error.code, str(error))
    told: dict[str, Any] = {}
    if isinstance(error, DeniedError):
        told = {
            "decision_id": error.decision_id,
            "reasons": error.reasons,
            "revision": error.revision,
        }
    elif isinstance(error, OverloadedError):
        told = {"retry_after": error.retry_after_s}
    elif isinstance(error, LimitExceededError):
        told = {"status": _limit_status(error.limit)}
    elif made.status == HTTPStatus.SERVICE_UNAVAILABLE:
        told = {"retry_after": _RETRY_S}
    elif conditional and error.code == "conflict":
        told = {"status": int(HTTPStatus.PRECONDITION_FAILED)}
    return msgspec.structs.replace(made, **told)


def response(found: Problem, headers: dict[str, str] | None = None) -> web.Response:
    """Return problem details as an answer."""
    sent = {"Content-Type": MEDIA, "Cache-Control": "no-store", **(headers or {})}
    if found.status == HTTPStatus.UNAUTHORIZED:
        sent.setdefault("WWW-Authenticate", 'Bearer realm="assent"')
    if found.retry_after is not None:
        sent["Retry-After"] = str(max(1, math.ceil(found.retry_after)))
    return web.Response(body=_encode(found), status=found.status, headers=sent)


def answer_to(request: web.Request, error: Exception) -> web.Response:
    """Return the answer for an exception that a handler raised."""
    if isinstance(error, web.HTTPException):
        return _of_router(request, error)
    found = problem_of(error, conditional="If-Match" in request.headers)
    if found.status >= _SERVER_ERROR and found.code == "internal":
        _log.error("%s %s failed", request.method, request.path, exc_info=error)
    return response(found, error.headers if isinstance(error, HttpError) else None)


@web.middleware
async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what is raised, and what the router refuses, into problem details."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < _HTTP_ERROR:
            raise
        return _of_router(request, error)
    except ConnectionError as error:
        if request.transport is None:  # nobody is there to be told, and it is no fault
            return response(problem("malformed", "the request broke off"))
        return answer_to(request, error)
    except Exception as error:  # noqa: BLE001 - every fault is told in one form
        return answer_to(request, error)


def _of_router(request: web.Request, error: web.HTTPException) -> web.Response:
    allow = error.headers.get("Allow")
    if request.method == "OPTIONS" and allow is not None:
        return web.Response(status=204, headers={"Allow": f"{allow},OPTIONS"})
    headers = {} if allow is None else {"Allow": allow}
    code = _BY_STATUS.get(error.status, "internal")
    detail = "" if error.empty_body else _said(error)
    return response(problem(code, detail, status=error.status), headers)


def _said(error: web.HTTPException) -> str:
    """Return what a handler said when it refused; the library's own words are dropped."""
    text = error.text or ""
    return "" if text == f"{error.status}: {error.reason}" else text


def _limit_status(limit: str) -> int:
    """Return 413 where what was sent is too large, else 400."""
    large = limit in _SIZES or limit.startswith(_OF_STREAM)
    return int(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if large else HTTPStatus.BAD_REQUEST)
