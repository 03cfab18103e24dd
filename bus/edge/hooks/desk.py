"""Answers the hooks of coding agents: each call of a tool is a message of its agent.

Rule: no verdict without an outcome of the bus. `tool.NAME.request` is published before
the call and `tool.NAME.result` after it, under the identity of the credential.
"""

import hashlib
import logging
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from cachetools import LRUCache

from bus.agent import Agent
from bus.core.edgelimits import (
    HOOK_DESKS_MAX,
    HOOK_PROMPT_CHARS_MAX,
    HOOK_RESPONSE_BYTES_MAX,
    HOOK_SESSIONS_MAX,
    HOOK_SUBAGENTS_MAX,
)
from bus.core.errors import (
    BusError,
    ConfigurationError,
    DeniedError,
    UnknownAgentError,
)
from bus.core.message import Message
from bus.core.outcome import Accepted, Held, Outcome
from bus.edge.caller import Caller
from bus.edge.gate import Gate
from bus.edge.hooks import events
from bus.edge.hooks.events import Event
from bus.edge.hooks.family import Bounds, Family, Spawn
from bus.subscription import Delivery, handled

_log: Final = logging.getLogger("assent.hooks")
_TOOL: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_SPAWNING: Final = frozenset({"Agent", "Task"})
_PATTERN: Final = "tool.>"
_encode: Final = msgspec.json.Encoder().encode


class Desk:
    """Takes events and answers them. `agents` receive what is let in, one of a tenant."""

    def __init__(self, gate: Gate, agents: Iterable[str], bounds: Bounds) -> None:
        self._gate = gate
        self._bounds = bounds
        self._agents = tuple(agents)
        self._families: LRUCache[tuple[str, str, str], Family]
        self._families = LRUCache(HOOK_SESSIONS_MAX)
        # By tenant, so that none pushes another's out.
        self._spawns: LRUCache[str, LRUCache[bytes, Message]]
        self._spawns = LRUCache(HOOK_DESKS_MAX)

    def open(self) -> None:
        """Let the desks' agents receive what is let in.

        Raises:
            ConfigurationError: policy data name no such agent, or policy does not let it
                subscribe to `tool.>`.
        """
        for name in self._agents:
            try:
                agent = self._gate.bus.agent(name)
                agent.subscribe(_PATTERN, self._received, durable=False)
            except (UnknownAgentError, DeniedError) as error:
                raise ConfigurationError(f"hooks.agents: {error}") from error

    async def answer(self, caller: Caller, data: bytes) -> bytes:
        """Return the answer to an event, as JSON; whatever goes wrong blocks the call."""
        name = ""
        try:
            event = events.read(data)
            name = event.hook_event_name
            return _encode(await self._answered(caller, event))
        except BusError as error:
            return _encode(events.fault(name, f"{error.code}: {error}"))
        except Exception:  # noqa: BLE001 - whatever goes wrong here blocks the call
            _log.exception("a hook could not be answered")
            return _encode(events.fault(name, "internal: the node has a fault"))

    async def _answered(self, caller: Caller, event: Event) -> dict[str, Any]:
        agent = self._gate.agent(caller)
        key = (caller.tenant, caller.agent, event.session_id)
        family = self._families.get(key)
        if family is None:
            family = self._families[key] = Family(self._bounds)
        match event.hook_event_name:
            case events.BEFORE:
                return await self._before(caller, agent, family, event)
            case events.AFTER:
                return await self._after(agent, family, event)
            case events.PROMPT:
                family.request = _line(event.prompt)
            case events.BEGUN:
                family.begun(event.agent_id, event.agent_type)
            case events.ENDED:
                family.ended(event.agent_id)
            case events.OVER:
                del self._families[key]
            case _:  # it lets nothing through: there is nothing to say
                pass
        return {}

    async def _before(
        self, caller: Caller, agent: Agent, family: Family, event: Event
    ) -> dict[str, Any]:
        tool = event.tool_name
        if _TOOL.fullmatch(tool) is None:
            return events.verdict("deny", f"{tool!r} is no name of a tool")
        now_ns = self._gate.bus.now_ns()
        if tool in _SPAWNING:
            why = family.refusal(event.agent_id, now_ns)
            if why:
                self._gate.note(
                    caller, "denied", f"tool.{tool}.request", f"hook: {why}"
                )
                return events.verdict("deny", why)
            kind = str(event.tool_input.get("subagent_type", ""))
            asked = Spawn(event.agent_id, kind, event.tool_use_id, now_ns)
            # Counted before policy is asked: others may ask at the same time.
            with family.asking(asked) as spawn:
                outcome = await self._publish(
                    agent, family, event, "request", _request(event)
                )
                if isinstance(outcome, Accepted | Held):
                    spawn.message = outcome.id
        else:
            outcome = await self._publish(
                agent, family, event, "request", _request(event)
            )
        return _verdict(outcome)

    async def _after(
        self, agent: Agent, family: Family, event: Event
    ) -> dict[str, Any]:
        if _TOOL.fullmatch(event.tool_name) is None:
            return events.objection(f"{event.tool_name!r} is no name of a tool")
        family.returned(event.tool_use_id)
        outcome = await self._publish(agent, family, event, "result", _result(event))
        if isinstance(outcome, Accepted):
            return {}
        return events.objection(f"what the tool did is not recorded: {_why(outcome)}")

    async def _publish(
        self, agent: Agent, family: Family, event: Event, what: str, body: object
    ) -> Outcome:
        """Publish as a message that descends from the one that asked for its agent."""
        cause = family.cause(event.agent_id)
        theirs = self._spawns.get(agent.tenant)
        parent = None if cause is None or theirs is None else theirs.get(cause)
        headers = {"tool-session": _line(event.session_id)}
        if event.agent_id:
            headers["tool-agent"] = _line(event.agent_id)
        if family.request:
            headers["user-request"] = family.request
        token = handled.set(parent)
        try:
            return await agent.publish(
                f"tool.{event.tool_name}.{what}",
                body,
                "command" if what == "request" else "event",
                headers=headers,
                correlation=_line(event.tool_use_id) or None,
            )
        finally:
            handled.reset(token)

    async def _received(self, delivery: Delivery) -> None:
        """Keep what asks for a sub-agent: what that does will descend from it."""
        message = delivery.message
        if message.subject.split(".")[1] not in _SPAWNING:
            return
        theirs = self._spawns.get(message.tenant)
        if theirs is None:
            theirs = self._spawns[message.tenant] = LRUCache(HOOK_SUBAGENTS_MAX)
        theirs[message.id] = message


def _request(event: Event) -> dict[str, Any]:
    return {"tool": event.tool_name, "args": event.tool_input, "cwd": event.cwd}


def _result(event: Event) -> dict[str, Any]:
    response = _encode(event.tool_response)
    told: dict[str, Any] = {"tool": event.tool_name, "bytes": len(response)}
    if len(response) <= HOOK_RESPONSE_BYTES_MAX:
        return {**told, "response": event.tool_response}
    return {**told, "sha256": hashlib.sha256(response).hexdigest()}


def _verdict(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Accepted():
            revision = outcome.decision.revision
            return events.verdict("allow", f"policy {revision}: {outcome.id.hex()}")
        case Held():
            told = f"{outcome.reason}; held as {outcome.id.hex()}"
            return events.verdict("ask", told)
        case _:
            return events.verdict("deny", _why(outcome))


def _why(outcome: Outcome) -> str:
    if isinstance(outcome, Accepted):
        return ""
    if outcome.code == "no_responders":
        return "nobody takes calls of tools in this tenant: set hooks.agents"
    return f"{outcome.code}: {outcome.reason}"


def _line(text: str) -> str:
    """Return text as one line that a header can carry."""
    shown = text[:HOOK_PROMPT_CHARS_MAX]
    plain = "".join(c if c.isascii() and c.isprintable() else " " for c in shown)
    return " ".join(plain.split())
