"""The process that explains, without the process: what it reads and says."""

import io
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bus.edge.operator import explainprocess
from bus.edge.operator.explainprocess import LENGTH_BYTES, serve
from policy.bundle import Bundle, Origin
from policy.isolation import wire
from policy.isolation.worker import Confinement
from policy.source import Source
from tests.fakes.nodes import data


class Limits:
    """Takes limits and sets none."""

    def __init__(self) -> None:
        self.set: list[int] = []

    def __call__(self, kind: int, values: tuple[int, int]) -> None:
        """Note a limit."""
        del values
        self.set.append(kind)


def said(*asked: bytes, limits: Callable[..., None] | None = None) -> list[Any]:
    """Return what the process says to what it is asked."""
    told = io.BytesIO()
    framed = b"".join(len(one).to_bytes(LENGTH_BYTES, "big") + one for one in asked)
    serve(io.BytesIO(framed), told, Confinement(limits or Limits()))
    text, found = told.getvalue(), list[Any]()
    while text:
        size = int.from_bytes(text[:LENGTH_BYTES], "big")
        body = text[LENGTH_BYTES : LENGTH_BYTES + size]
        found.append(msgspec.json.decode(body, type=Any))
        text = text[LENGTH_BYTES + size :]
    return found


def content(bundle: Bundle) -> bytes:
    """Return a policy as it is sent."""
    return wire.frame(bundle)[LENGTH_BYTES:]


QUESTION = (
    b'{"action":"connect","principal":{"id":"planner","tenant":"acme","roles":[]}}'
)


def test_it_loads_says_its_rules_and_answers() -> None:
    """Under limits that are set before anything is loaded."""
    limits = Limits()
    answers = said(content(Origin(data()).read()), QUESTION, limits=limits)
    assert len(answers) == 2
    assert answers[0]["explanation"]["findings"]
    assert answers[1]["explanation"]["allow"] is True
    assert len(limits.set) > 4


def test_what_is_wrong_is_said() -> None:
    """A policy that is refused ends it; a question that cannot be put does not."""
    bad = Bundle((Source("a.rego", "package"),), {"agents": {}}, "data", built_in=False)
    answers = said(content(bad), QUESTION)
    assert [one["refused"] for one in answers] == [True]
    answers = said(content(Origin(data()).read()), b"[" * 500, QUESTION)
    assert [bool(one["error"]) for one in answers] == [False, True, False]


def test_nothing_asked_is_nothing_said() -> None:
    """Also half a policy."""
    assert said() == []
    told = io.BytesIO()
    serve(io.BytesIO(b"\0\0\1\0half"), told, Confinement(Limits()))
    assert told.getvalue() == b""


@pytest.mark.parametrize(("most", "short"), [(30_000, True), (100, False)])
def test_an_answer_past_the_bound_is_cut_or_not_given(
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    short: bool,  # noqa: FBT001 - a case
) -> None:
    """Values go first."""
    text = """package assent.authz

long := data.long

decision := {"allow": true, "reasons": [], "obligations": []} if count(long) > 0
"""
    own = Bundle(
        (Source("own.rego", text),), {"long": "x" * 40_000}, "data", built_in=False
    )
    monkeypatch.setattr(explainprocess, "EXPLAINED_BYTES_MAX", most)
    answers = said(content(own))
    assert bool(answers[0]["explanation"]) is short
    assert bool(answers[0]["error"]) is not short
