"""Calls of tools through a bus: what becomes of each in the context of a request.

Rule: every call is published as a message of the assistant, with the user's request in
a header, and ends as the bus says. No tool is run; what is let in is received once.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from bus.agent import Agent
from bus.app import Bus
from bus.cli.recordings.defaults import receiver
from bus.cli.recordings.formats import COMMAND
from bus.cli.recordings.verbs import subject_of
from bus.cli.running import run_to_end
from bus.cli.toolcalls.suite import Call
from bus.config import Settings
from bus.config.governing import PolicySettings
from bus.config.settings import AuditSettings
from bus.core.errors import ConfigurationError, DeniedError, UnknownAgentError
from bus.core.limits import HELD_MAX
from bus.core.outcome import Accepted, Denied, Dropped, Failed, Held, Outcome, Rejected
from bus.subscription import Delivery

REQUEST_HEADER: Final = "user-request"
ASSISTANT_PREFIX: Final = "assistant:"

Ending = Literal["allowed", "held", "denied", "lost"]
"""`lost` is every ending that no policy means: rejected, failed, dropped."""


class Question(msgspec.Struct, frozen=True):
    """A call in the context of a user's request."""

    request: str
    call: Call

    @property
    def key(self) -> bytes:
        """The same for the same question."""
        return msgspec.json.encode(self, order="deterministic")


class Answer(msgspec.Struct, frozen=True):
    """How a call ended, and why where it was not let in."""

    ending: Ending
    reasons: tuple[str, ...] = ()


class Terms(msgspec.Struct, frozen=True):
    """What is judged under: policy, its data, whose calls, and where the audit goes."""

    folder: Path
    data: Mapping[str, Any] | Path
    tenant: str
    audit_file: Path


def judge(
    terms: Terms, questions: Sequence[Question], advance: Callable[[], None]
) -> dict[bytes, Answer]:
    """Return the answer to each question by its key; `advance` is called after each.

    Raises:
        PolicyLoadError: the policy or its data is refused.
        ConfigurationError: the data does not know the assistant or the receiver, or
            what was let in was not delivered.
    """
    answers: dict[bytes, Answer] = {}
    asked = iter({question.key: question for question in questions}.items())
    # What is held stays held until its bus closes.
    while part := dict(islice(asked, HELD_MAX)):
        bus = Bus(terms.data, settings=_settings(terms))
        answers |= run_to_end(_judge(bus, terms.tenant, part, advance))
    return answers


async def _judge(
    bus: Bus, tenant: str, asked: Mapping[bytes, Question], advance: Callable[[], None]
) -> dict[bytes, Answer]:
    delivered = 0

    async def received(_: Delivery) -> None:
        nonlocal delivered
        delivered += 1

    answers: dict[bytes, Answer] = {}
    async with bus:
        _agent(bus, receiver(tenant)).subscribe(">", received)
        assistant = _agent(bus, ASSISTANT_PREFIX + tenant)
        for key, question in asked.items():
            answers[key] = await _ask(assistant, question)
            advance()
        await bus.close()
    allowed = sum(answer.ending == "allowed" for answer in answers.values())
    if delivered != allowed:
        raise ConfigurationError(
            f"{allowed} calls were let in and {delivered} delivered: agent "
            f"{receiver(tenant)!r} has to receive each of them once"
        )
    return answers


async def _ask(assistant: Agent, question: Question) -> Answer:
    call = question.call
    outcome = await assistant.publish(
        subject_of(call.tool),
        {"tool": call.tool, "args": call.args},
        type=COMMAND,
        headers={REQUEST_HEADER: _header(question.request)},
    )
    return _answer(outcome)


def _header(request: str) -> str:
    """Return a request as one line, which is what a header can carry."""
    return " ".join("".join(c if c.isprintable() else " " for c in request).split())


def _answer(outcome: Outcome) -> Answer:
    match outcome:
        case Accepted():
            return Answer("allowed")
        case Held():
            return Answer("held", tuple(outcome.reason.split("; ")))
        case Denied():
            return Answer("denied", outcome.reasons)
        case Dropped():
            return Answer("lost", (f"{outcome.by}: {outcome.reason}",))
        case Rejected() | Failed():
            return Answer("lost", (f"{outcome.code}: {outcome.reason}",))


def _agent(bus: Bus, name: str) -> Agent:
    try:
        return bus.agent(name)
    except (UnknownAgentError, DeniedError) as error:
        raise ConfigurationError(
            f"{error}; the policy data needs this agent"
        ) from error


def _settings(terms: Terms) -> Settings:
    return Settings(
        audit=AuditSettings(file=terms.audit_file),
        policy=PolicySettings(folder=terms.folder, watch=False),
    )
