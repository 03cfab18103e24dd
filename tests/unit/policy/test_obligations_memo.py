"""An answer that is known is read once, and stands for the same each time."""

import msgspec
import pytest

from policy import obligations
from policy.obligations import decision

ANSWER = '{"allow":true,"reasons":[],"obligations":[{"type":"ttl","seconds":5}]}'


def test_a_known_answer_stands_for_the_same_under_another_question() -> None:
    """But for the revision, the digest and the action, which are the question's."""
    first, _ = decision(ANSWER, revision="r1", digest="d1", action="publish")
    second, own = decision(ANSWER, revision="r2", digest="d2", action="request")
    assert own
    assert (second.revision, second.digest, second.action) == ("r2", "d2", "request")
    assert second == msgspec.structs.replace(
        first, revision="r2", digest="d2", action="request"
    )
    assert not second.plain


def test_what_is_no_decision_is_never_known() -> None:
    """However often it comes."""
    for _ in range(2):
        made, own = decision('{"allow":"yes"}', revision="r", digest="d")
        assert not own
        assert not made.allow


def test_how_many_answers_are_known_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Long ones not at all; one too many, and all are forgotten."""
    monkeypatch.setattr(obligations, "POLICY_MEMO_ANSWERS_MAX", 2)
    monkeypatch.setattr(obligations, "_made", {})
    for number in range(5):
        text = f'{{"allow":false,"reasons":["{number}"]}}'
        made, _ = decision(text, revision="r", digest="d")
        assert made.reasons == (str(number),)
        assert len(obligations._made) <= 2  # noqa: SLF001 - the bound is on it
    long = f'{{"allow":false,"reasons":["{"x" * 5_000}"]}}'
    decision(long, revision="r", digest="d")
    assert long not in obligations._made  # noqa: SLF001 - as above, it is inside
