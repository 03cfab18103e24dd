"""What stands in a log that is no decision, or not all of one."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from bus.core.errors import ConfigurationError
from bus.core.limits import REDECIDE_LINE_BYTES_MAX, REDECIDE_LISTED_MAX
from policy.bundle import Origin
from policy.replay import reading
from policy.replay.workers import Plan, Replayed, replay
from tests.fakes import decisionlogs, policies


@pytest.fixture(scope="module")
def event() -> dict[str, Any]:
    """One allowed decision."""
    made = decisionlogs.authorizer()
    return decisionlogs.event(made, policies.message(), 1)


def replayed(place: Path, *lines: bytes) -> Replayed:
    """Replay these lines under the policy that decided."""
    log = place / "log.jsonl"
    log.write_bytes(b"\n".join(lines))
    return replay(Plan(Origin(policies.data()).read(), (log,)))


def text(event: dict[str, Any], **changes: Any) -> bytes:
    """Return an event's line; a field changed to None is left out."""
    made = {**event, **changes}
    return msgspec.json.encode({k: v for k, v in made.items() if v is not None})


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "not a recorded decision"),
        (b"\xff\xfe", "not a recorded decision"),
        (b"[]", "Expected `object`"),
        (b"{}", "missing required field `decision_id`"),
        (b'{"decision_id": 7}', "Expected `str`"),
        (b'{"decision_id": "a", "path": 7}', "Expected `str`"),
        (b'{"decision_id": "a", "erased": "all"}', "Expected `array"),
        (b'{"decision_id": "a", "input": {"x": 1}', "truncated"),
        (b"[" * 5_000, "not a recorded decision"),
        (b'{"decision_id": "' + b"x" * REDECIDE_LINE_BYTES_MAX + b'"}', "longer than"),
    ],
)
def test_a_line_that_is_no_decision_is_counted_with_its_place(
    tmp_path: Path, event: dict[str, Any], line: bytes, why: str
) -> None:
    """The ones around it are decided."""
    made = replayed(tmp_path, text(event), line, text(event, decision_id="other"))
    (unreadable,) = made.unreadable
    assert unreadable.line == 2
    assert why in unreadable.why
    assert (made.counts.unreadable, made.counts.decided) == (1, 2)


def test_an_input_that_json_cannot_carry_is_unreadable(
    tmp_path: Path, event: dict[str, Any]
) -> None:
    """A number past 64 bits would be another one to the engine."""
    line = text(event).replace(b'"size":1', b'"size":' + b"9" * 40)
    made = replayed(tmp_path, line)
    assert made.counts.lines == made.counts.unreadable + made.counts.decided == 1


def test_only_the_first_unreadable_lines_are_listed(
    tmp_path: Path, event: dict[str, Any]
) -> None:
    """All are counted."""
    made = replayed(tmp_path, *[b"{"] * (REDECIDE_LISTED_MAX + 10), text(event))
    assert len(made.unreadable) == REDECIDE_LISTED_MAX
    assert made.counts.unreadable == REDECIDE_LISTED_MAX + 10


def test_a_decision_that_stands_twice_is_decided_once(
    tmp_path: Path, event: dict[str, Any]
) -> None:
    """An upload that was repeated, or a log that was copied."""
    made = replayed(tmp_path, text(event), text(event), text(event))
    assert (made.counts.duplicates, made.counts.decided) == (2, 1)


def test_two_decisions_of_one_id_are_not_taken_for_one(
    tmp_path: Path, event: dict[str, Any]
) -> None:
    """The second cannot be believed, and is not left out in silence."""
    result = {"allow": False, "reasons": ["x"], "obligations": []}
    made = replayed(tmp_path, text(event), text(event, result=result))
    assert (made.counts.duplicates, made.counts.unreadable) == (0, 1)
    assert "another decision than before" in made.unreadable[0].why


@pytest.mark.parametrize("word", ["erased", "masked"])
@pytest.mark.parametrize(
    ("pointer", "named"),
    [
        ("/input", "input"),
        ("/input/message", "input.message"),
        ("/input/message/subject", "input.message.subject"),
        ("/input/principal/id", "input.principal.id"),
        ("/result/reasons", "result.reasons"),
    ],
)
def test_what_lacks_a_field_that_is_read_is_not_decided(
    tmp_path: Path, event: dict[str, Any], word: str, pointer: str, named: str
) -> None:
    """It is counted and named, never guessed."""
    made = replayed(tmp_path, text(event, **{word: [pointer]}))
    assert (made.counts.hidden, made.counts.decided) == (1, 0)
    assert (made.hidden[0].line, made.hidden[0].why) == (1, named)


@pytest.mark.parametrize(
    "pointer", ["/input/message/headers/authorization", "/input/message/size", "/nd"]
)
def test_a_hidden_field_that_nothing_reads_does_not_matter(
    tmp_path: Path, event: dict[str, Any], pointer: str
) -> None:
    """The decision is the same without it."""
    made = replayed(tmp_path, text(event, erased=[pointer]))
    assert (made.counts.hidden, made.counts.decided) == (0, 1)
    assert made.counts.different == 0


def test_a_candidate_that_reads_everything_needs_everything(
    tmp_path: Path, event: dict[str, Any]
) -> None:
    """Then any hidden field of the input counts."""
    rule = 'decision := {"allow": count(input) > 0, "reasons": [], "obligations": []}'
    folder = policies.folder(tmp_path / "p", policies.authz(rule))
    log = tmp_path / "log.jsonl"
    log.write_bytes(text(event, erased=["/input/message/headers/authorization"]))
    made = replay(Plan(Origin(None, folder).read(), (log,)))
    assert made.read is None
    assert (made.counts.hidden, made.counts.decided) == (1, 0)


def test_no_input_at_all_is_hidden(tmp_path: Path, event: dict[str, Any]) -> None:
    """An empty input would be a guess."""
    assert replayed(tmp_path, text(event, input=None)).counts.hidden == 1


def test_decisions_of_other_rules_are_counted_apart(
    tmp_path: Path, event: dict[str, Any]
) -> None:
    """A server's log may hold more than ours."""
    made = replayed(tmp_path, text(event, path="system/log/mask"), text(event, path=""))
    assert (made.counts.other, made.counts.decided) == (1, 0)
    assert made.counts.duplicates + made.counts.unreadable == 1


def test_what_the_engine_failed_at_is_no_decision_of_policy(
    tmp_path: Path, event: dict[str, Any]
) -> None:
    """A deadline says nothing of the rules."""
    error = {"code": "policy_deadline", "message": "too slow"}
    denied = {"allow": False, "reasons": ["deadline"], "obligations": []}
    made = replayed(tmp_path, text(event, error=error, result=denied))
    assert (made.counts.failed, made.counts.decided) == (1, 0)


def test_a_policy_that_failed_has_denied(tmp_path: Path, event: dict[str, Any]) -> None:
    """It would for the same input again: what allows it now is a difference."""
    error = {"code": "policy_evaluation", "message": "conflict"}
    denied = {"allow": False, "reasons": ["conflict"], "obligations": []}
    made = replayed(tmp_path, text(event, error=error, result=denied))
    (kind,) = made.groups.found
    assert kind.change == "deny to allow"


def test_an_undefined_decision_was_a_denial(
    tmp_path: Path, event: dict[str, Any]
) -> None:
    """OPA writes no result then."""
    made = replayed(tmp_path, text(event, result=None))
    (kind,) = made.groups.found
    assert kind.change == "deny to allow"
    assert kind.gone == ("policy answered nothing (undefined)",)


def test_an_empty_log_has_nothing_in_it(tmp_path: Path) -> None:
    """Blank lines are none."""
    assert replayed(tmp_path, b"", b"  ").counts.lines == 0


def test_a_packed_log_is_read_like_any_other(
    tmp_path: Path, event: dict[str, Any]
) -> None:
    """By its content, whatever it is called."""
    packed = decisionlogs.write(tmp_path / "log.gz", [event])
    named = packed.rename(tmp_path / "log.jsonl")
    assert [line.number for line in reading.lines([named])] == [1]


def test_a_packed_log_that_was_cut_off_is_an_error(
    tmp_path: Path, event: dict[str, Any]
) -> None:
    """What is missing may be what differs."""
    events = [{**event, "decision_id": str(n)} for n in range(500)]
    log = decisionlogs.write(tmp_path / "log.gz", events)
    log.write_bytes(log.read_bytes()[:-20])
    with pytest.raises(ConfigurationError, match="broken gzip file"):
        list(reading.lines([log]))


def test_a_log_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """With its name."""
    for call in (lambda p: list(reading.lines(p)), reading.size):
        with pytest.raises(ConfigurationError, match=r"none\.jsonl: No such file"):
            call([tmp_path / "none.jsonl"])


@pytest.mark.parametrize(
    "where",
    [
        {"custom": {"message_id": "m1"}},
        {"custom": {"message": "m1"}},
        {"labels": {"message_id": "m1"}, "custom": {}},
    ],
)
def test_the_message_is_named_in_custom_or_labels(where: dict[str, Any]) -> None:
    """Wherever the log's writer put it."""
    line = msgspec.json.encode({"decision_id": "d", **where})
    assert reading.decode(line).message_id == "m1"


@pytest.mark.parametrize(
    ("told", "revision"),
    [
        ({"bundles": {"assent": {"revision": "r1"}, "x": {"revision": "r2"}}}, "r1"),
        ({"bundles": {"mine": {"revision": "r3"}}}, "r3"),
        ({"bundles": {"a": {"revision": "1"}, "b": {"revision": "2"}}}, ""),
        ({"revision": "r4"}, "r4"),
        ({"bundles": {"assent": {}}}, ""),
        ({}, ""),
    ],
)
def test_the_revision_is_that_of_our_bundle(
    told: dict[str, Any], revision: str
) -> None:
    """Or of the only one there is; where it is not certain, it is unknown."""
    line = msgspec.json.encode({"decision_id": "d", **told})
    assert reading.decode(line).under == revision
