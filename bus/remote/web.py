"""A node's HTTP interface: JSON in, JSON out, and problems as the errors they stand for.

Rule: nothing is asked twice by itself. What a node refuses is raised as the embedded bus
would raise it.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import msgspec

from bus.core.edgelimits import CLIENT_ANSWER_S
from bus.core.errors import MalformedMessageError, UnavailableError
from bus.remote.address import Trust, address, tls
from bus.remote.faults import Told, fault
from bus.remote.line import Answer, Web

_PROBLEM: Final = "application/problem+json"
_JSON: Final = frozenset({"application/json", _PROBLEM})
_ERROR: Final = 400
_NOTHING: Final = 204


class _Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Problem details (RFC 9457), as far as they are looked at; unknown members pass."""

    code: str = ""
    title: str = ""
    detail: str = ""
    reasons: tuple[str, ...] = ()
    revision: str = ""
    decision_id: str = ""
    retry_after: float | None = None


class Api:
    """One node's HTTP interface, for one credential.

    async with Api(url, token) as api:
        overview = await api.get("/v1/overview")
    """

    def __init__(self, url: str, token: str | None, trust: Trust | None = None) -> None:
        self._trust = trust or Trust()
        self._address = address(url, self._trust)
        self._token = token
        self._web: Web | None = None

    async def __aenter__(self) -> Self:
        """Make ready; nothing is asked yet. Raises as `tls`."""
        context: ssl.SSLContext | None = None
        if self._address.secure:
            context = await asyncio.to_thread(tls, self._trust)
        shown = {} if not self._token else {"Authorization": f"Bearer {self._token}"}
        self._web = await Web(
            self._address.web, {"Accept": "application/json", **shown}, context
        ).__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self._opened.__aexit__(kind, error, trace)

    @property
    def _opened(self) -> Web:
        if self._web is None:
            raise UnavailableError("not open: use 'async with'")
        return self._web

    async def get(
        self, path: str, wait_s: float = 0.0, **query: str | float | None
    ) -> Any:
        """Return what a path has. `wait_s` is how long the node may take beside its time.

        Raises:
            BusError: the node says why not.
            UnavailableError: it does not answer.
        """
        return await self._ask("GET", path, _words(query), None, wait_s)

    async def post(self, path: str, body: Any = None, wait_s: float = 0.0) -> Any:
        """Have something done; raises as `get`."""
        data = msgspec.json.encode({} if body is None else body)
        return await self._ask("POST", path, {}, data, wait_s)

    async def delete(self, path: str, **query: str | float | None) -> Any:
        """Have something removed; raises as `get`."""
        return await self._ask("DELETE", path, _words(query), None, 0.0)

    async def items(
        self, path: str, limit: int, **query: str | float | None
    ) -> AsyncIterator[Any]:
        """Yield the items of a list, page by page, at most `limit` of them."""
        after: str | None = None
        while limit > 0:
            page = await self.get(path, 0.0, after=after, **query)
            for item in page["items"][:limit]:
                yield item
            limit -= len(page["items"])
            after = page.get("next")
            if after is None:
                return

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        wait_s: float,
    ) -> Any:
        answer = await self._opened.ask(
            method,
            path,
            query=query,
            body=body,
            headers=None if body is None else {"Content-Type": "application/json"},
            timeout_s=CLIENT_ANSWER_S + wait_s,
        )
        return answered(answer)


def answered(answer: Answer) -> Any:
    """Return what an answer says; raises the error that it stands for."""
    if answer.status >= _ERROR:
        raise fault(_told(answer))
    if answer.status == _NOTHING:
        return None
    if answer.content_type not in _JSON:
        raise MalformedMessageError(
            f"the node answers {answer.status} with {answer.content_type or 'nothing'}; "
            "is it one?"
        )
    try:
        return msgspec.json.decode(answer.body)
    except msgspec.MsgspecError as error:
        raise MalformedMessageError(f"the node's answer: {error}") from error


def part(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="")


def _told(answer: Answer) -> Told:
    try:
        problem = msgspec.json.decode(answer.body, type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem()
    return Told(
        code=problem.code or f"status {answer.status}",
        text=problem.detail or problem.title or "no reason given",
        reasons=problem.reasons,
        revision=problem.revision,
        decision_id=problem.decision_id,
        retry_after_s=problem.retry_after,
    )


def _words(query: Mapping[str, str | float | None]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value is not None}
