"""An OPA server as the engine that is asked: `policy.evaluation.AwaitedEvaluator`.

Rule: every question is bounded before it is sent, has a deadline, and passes the
breaker. What a server does not answer is not answered by anything else.
"""

from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import msgspec
from yarl import URL

from bus.core.breaker import Breaker, State
from bus.core.limits import ERROR_CHARS_MAX, POLICY_INPUT_BYTES_MAX, POLICY_NESTING_MAX
from bus.core.policylimits import (
    OPA_ANSWER_BYTES_MAX,
    OPA_BATCH_BYTES_MAX,
    OPA_RULES_MAX,
)
from policy.engine import depth
from policy.evaluation import Answer, EvaluationError
from policy.loading import ENTRY
from policy.opa import answers, source
from policy.opa.address import ServerAddress
from policy.opa.batch import Batcher
from policy.opa.client import Http, Request, open_http
from policy.opa.source import ServerPolicy

_NS_PER_S: Final = 1_000_000_000
_ASKED: Final = "?strict-builtin-errors=true&provenance=true"
_ROOT: Final = "data."
# What a question may be at fault for says nothing about the server.
_QUESTIONS_OWN: Final = frozenset({"evaluation", "input", "oversize"})
_is_json: Final = msgspec.json.Decoder(msgspec.Raw).decode


class OpaServer:
    """A server that is asked. Made by `connect`; used on one loop."""

    __slots__ = ("_address", "_batcher", "_breaker", "_http", "_now_ns", "_urls")

    def __init__(
        self,
        address: ServerAddress,
        http: Http,
        *,
        now_ns: Callable[[], int],
        batches: bool,
    ) -> None:
        self._address = address
        self._http = http
        self._now_ns = now_ns
        self._breaker = Breaker(address.failures_max, int(address.reset_s * _NS_PER_S))
        self._batcher = Batcher(self._ask_all, address.deadline_s) if batches else None
        self._urls: dict[str, URL] = {}

    @property
    def batches(self) -> bool:
        """Whether questions of one turn of the loop are sent together."""
        return self._batcher is not None

    @property
    def breaker(self) -> State:
        """The state of the breaker."""
        return self._breaker.state

    async def evaluate(self, rule: str, input_json: str) -> Answer:
        """Return the value of `rule` (`data.a.b`), as `AwaitedEvaluator` promises."""
        content = _checked(input_json)
        now_ns = self._now_ns()
        ticket = self._breaker.admit(now_ns)
        if ticket is None:
            raise self._refusal(now_ns)
        try:
            if self._batcher is None:
                found = await self._ask(rule, content, self._address.deadline_s)
            else:
                found = await self._batcher.ask(rule, content)
        except EvaluationError as error:
            if error.kind in _QUESTIONS_OWN:
                self._breaker.succeed(ticket)
            else:
                self._breaker.fail(ticket, self._now_ns())
            raise
        except BaseException:
            self._breaker.abandon(ticket)
            raise
        self._breaker.succeed(ticket)
        return found

    async def read(self) -> ServerPolicy:
        """Return the policy the server has now.

        Raises:
            EvaluationError: it cannot be had.
            PolicyLoadError: it has no valid agents, or no entry rule.
        """
        return await source.read(self._http)

    async def changed(self, policy: ServerPolicy) -> bool:
        """Tell whether `read` may now return another than `policy`.

        Raises:
            EvaluationError: it cannot be told.
        """
        return await source.changed(self._http, policy)

    async def close(self) -> None:
        """Close all connections; questions still open fail as unavailable."""
        await self._http.close()

    async def _ask(self, rule: str, content: bytes, deadline_s: float) -> Answer:
        request = Request(
            self._url("/v1/data/", rule),
            deadline_s,
            OPA_ANSWER_BYTES_MAX,
            "POST",
            b'{"input":' + content + b"}",
        )
        return answers.answer(await self._http.send(request))

    async def _ask_all(
        self, rule: str, inputs: list[bytes], deadline_s: float
    ) -> list[Answer | EvaluationError]:
        if len(inputs) == 1:
            return [await self._ask(rule, inputs[0], deadline_s)]
        keys = [str(number) for number in range(len(inputs))]
        each = (b'"%b":%b' % (k.encode(), i) for k, i in zip(keys, inputs, strict=True))
        request = Request(
            self._url("/v1/batch/data/", rule),
            deadline_s,
            OPA_BATCH_BYTES_MAX,
            "POST",
            b'{"inputs":{' + b",".join(each) + b"}}",
        )
        found = answers.batch(await self._http.send(request), keys)
        return [found[key] for key in keys]

    def _url(self, place: str, rule: str) -> URL:
        known = self._urls.get(place + rule)
        if known is not None:
            return known
        if len(self._urls) >= OPA_RULES_MAX:
            del self._urls[next(iter(self._urls))]
        made = self._urls[place + rule] = self._http.url(place + path_of(rule) + _ASKED)
        return made

    def _refusal(self, now_ns: int) -> EvaluationError:
        wait_s = self._breaker.wait_ns(now_ns) / _NS_PER_S
        when = f"in {wait_s:.1f} s" if wait_s else "once one question got through"
        return EvaluationError(
            f"OPA server: it failed {self._address.failures_max} times in a row and is "
            f"left alone; it is asked again {when}",
            kind="unavailable",
        )


async def connect(address: ServerAddress, *, now_ns: Callable[[], int]) -> OpaServer:
    """Return a server that answered, and whether it takes batches is known.

    `now_ns` is for the breaker. Close what is returned.

    Raises:
        ConfigurationError: certificates cannot be loaded.
        EvaluationError: the server did not answer, or does not let us in.
    """
    http = await open_http(address)
    try:
        batches = await _offers_batches(http, address)
    except BaseException:
        await http.close()
        raise
    return OpaServer(address, http, now_ns=now_ns, batches=batches)


def path_of(rule: str) -> str:
    """Return the path of a rule below `/v1/data/`.

    Raises:
        EvaluationError: it is no path of data.
    """
    tokens = rule.split(".")
    if not rule.startswith(_ROOT) or not all(tokens):
        told = rule[:ERROR_CHARS_MAX]
        raise EvaluationError(f"{told!r} is no rule; one is data.a.b", kind="input")
    return "/".join(quote(token, safe="") for token in tokens[1:])


async def _offers_batches(http: Http, address: ServerAddress) -> bool:
    """Ask for a batch of none; an OPA without the API says 404."""
    url = http.url(f"/v1/batch/data/{path_of(ENTRY)}")
    reply = await http.send(
        Request(url, address.deadline_s, OPA_ANSWER_BYTES_MAX, "POST", b'{"inputs":{}}')
    )
    if reply.status in answers.NOT_LET_IN:
        raise answers.refusal(reply)
    return reply.status == answers.OK and answers.is_json(reply.content_type)


def _checked(input_json: str) -> bytes:
    """Return an input as it is sent, or refuse it: it must not break out of its place."""
    try:
        content = input_json.encode()
    except UnicodeEncodeError as error:
        raise EvaluationError(
            f"input: not Unicode: {error.reason}", kind="input"
        ) from None
    if len(content) > POLICY_INPUT_BYTES_MAX:
        raise EvaluationError(
            f"input: {len(content)} bytes; {POLICY_INPUT_BYTES_MAX} are allowed",
            kind="input",
        )
    if depth(input_json) > POLICY_NESTING_MAX:
        raise EvaluationError(
            f"input: nested deeper than {POLICY_NESTING_MAX}", kind="input"
        )
    try:
        _is_json(content)
    except msgspec.DecodeError as error:
        raise EvaluationError(f"input: not JSON: {error}", kind="input") from None
    return content
