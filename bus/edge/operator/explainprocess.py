"""A process that explains decisions under one policy, for the operators of a node.

Rule: what a person tries out may take long and much, so it is done here and not in the
process of the bus: with one pipe each way, no other file, and bounds the system enforces.
"""

import sys
from typing import Any, BinaryIO, Final

import msgspec

from bus.core.decision import Principal
from bus.core.edgelimits import (
    EXPLAIN_S,
    EXPLAINED_BYTES_MAX,
    EXPLAINER_LOAD_S,
    EXPLAINER_MEMORY_BYTES,
)
from bus.core.errors import PolicyLoadError
from policy import loading
from policy.evaluation import EvaluationError
from policy.explain import Explainer, Explanation
from policy.isolation import wire
from policy.isolation.worker import Confinement

LENGTH_BYTES: Final = 4
_BEGIN: Final = wire.Begin(
    trial=False,
    memory_bytes=EXPLAINER_MEMORY_BYTES,
    load_cpu_s=EXPLAINER_LOAD_S,
    question_cpu_s=EXPLAIN_S,
    answer_bytes=EXPLAINED_BYTES_MAX,
)
_encode: Final = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True):
    """What the process says: an explanation, or why there is none."""

    explanation: Explanation | None = None
    error: str = ""
    refused: bool = False


def main() -> None:
    """Load the policy that comes first, say what its rules are, then answer."""
    serve(sys.stdin.buffer, sys.stdout.buffer, Confinement())


def serve(asked: BinaryIO, told: BinaryIO, confinement: Confinement) -> None:
    """Answer from one pipe to another until the first ends."""
    content = _read(asked)
    if content is None:
        return
    confinement.begin(_BEGIN)
    confinement.grant(EXPLAINER_LOAD_S)
    try:
        explainer = Explainer(wire.read_bundle(content))
        sample = _sample()
        _write(told, Answer(explainer.explain(sample)))
    except (PolicyLoadError, EvaluationError) as error:
        _write(told, Answer(error=str(error), refused=True))
        return
    del content
    while (question := _read(asked)) is not None:
        confinement.grant(EXPLAIN_S)
        try:
            made = Answer(explainer.explain(question.decode()))
        except EvaluationError as error:
            made = Answer(error=str(error))
        _write(told, made)


def _read(asked: BinaryIO) -> bytes | None:
    head = asked.read(LENGTH_BYTES)
    if len(head) < LENGTH_BYTES:
        return None
    size = int.from_bytes(head, "big")
    content = asked.read(size)
    return content if len(content) == size else None


def _write(told: BinaryIO, answer: Answer) -> None:
    content = _encode(answer)
    if len(content) > EXPLAINED_BYTES_MAX and answer.explanation is not None:
        made = answer.explanation
        findings = tuple(
            msgspec.structs.replace(one, value=None) for one in made.findings
        )
        short = msgspec.structs.replace(made, findings=findings)
        content = _encode(Answer(short))
    if len(content) > EXPLAINED_BYTES_MAX:
        content = _encode(
            Answer(error=f"an answer of {len(content)} bytes is too long")
        )
    told.write(len(content).to_bytes(LENGTH_BYTES, "big") + content)
    told.flush()


def _sample() -> str:
    """Return a question of nobody's, whose explanation names every rule there is."""
    document: dict[str, Any] = {
        "action": "publish",
        "principal": Principal("nobody", "none"),
        "message": loading.sample_message("none", "publish"),
    }
    return _encode(document).decode()
