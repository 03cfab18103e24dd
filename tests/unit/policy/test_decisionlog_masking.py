"""Masks: what policy wants hidden is hidden, and a mask that fails hides everything."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bus.core.errors import PolicyLoadError
from policy.bundle import Bundle, Origin
from policy.decisionlog.masking import Masker, Rules, rules_of
from policy.evaluation import EvaluationError, Kind
from tests.fakes import policies
from tests.fakes.policies import ALLOW_ALL

EVENT: dict[str, Any] = {
    "decision_id": "id-1",
    "requested_by": "planner",
    "input": {
        "message": {"subject": "tasks.a", "headers": {"x-card": "4111", "a/b~c": "1"}},
        "principal": {"id": "planner", "roles": ["a", "b", "c"]},
    },
    "custom": {"action": "publish", "input_digest": "d1"},
    "result": {"allow": True, "reasons": ["card 4111"], "obligations": []},
}


class Scripted:
    """An evaluator that answers the mask rule, or fails."""

    def __init__(self, answer: Any, kind: Kind | None = None) -> None:
        self._answer = answer
        self._kind = kind

    def evaluate(self, rule: str, input_json: str) -> str | None:
        """Answer, whatever is asked."""
        del rule
        if self._kind:
            reason = f"cannot: {input_json}"
            raise EvaluationError(reason, file="log.rego", line=7, kind=self._kind)
        answer = self._answer
        return answer if isinstance(answer, str | None) else json.dumps(answer)


def masked(answer: Any, **told: Any) -> dict[str, Any]:
    """Return the event as it is after the masks of one answer."""
    masker = Masker()
    masker.follow(lambda: Rules(Scripted(answer, **told), drop=False, mask=True))
    line = masker.apply(json.dumps(EVENT).encode())
    assert line is not None
    found: dict[str, Any] = json.loads(line)
    assert (masker.erased == 1) == (found.get("error", {}).get("code") == "mask_failed")
    return found


def bundle(tmp_path: Path, **more: str) -> Bundle:
    """Return a bundle with an entry rule and more files."""
    return Origin(folder=policies.folder(tmp_path, ALLOW_ALL, **more)).read()


def rego(*rules: str) -> str:
    """Return a file of the package that OPA reads masks from."""
    return "\n".join(("package system.log", "import rego.v1", *rules)) + "\n"


def test_a_pointer_removes_what_it_names() -> None:
    """And the event says so, and only of what was there."""
    told = masked(["/input/message/headers/x-card", "/input/nothing", "/result/0"])
    assert "x-card" not in told["input"]["message"]["headers"]
    assert told["erased"] == ["/input/message/headers/x-card"]
    assert "masked" not in told


@pytest.mark.parametrize("name", ["input", "result"])
def test_a_section_can_be_removed_as_a_whole(name: str) -> None:
    """The rest stays."""
    told = masked([f"/{name}"])
    assert name not in told
    assert told["erased"] == [f"/{name}"]
    assert told["decision_id"] == "id-1"


def test_an_upsert_puts_a_value_in_its_place() -> None:
    """Also where there was none, and for an element of a list."""
    told = masked(
        [
            {"op": "upsert", "path": "/input/message/subject", "value": "***"},
            {"op": "upsert", "path": "/input/new/deep", "value": {"a": 1}},
            {"op": "upsert", "path": "/input/principal/roles/1", "value": None},
            {"op": "upsert", "path": "/input/principal/roles/9", "value": "x"},
            {"op": "upsert", "path": "/input/message/subject/below", "value": "x"},
            {"op": "upsert", "path": "/nd_builtin_cache/x", "value": 1},
            {"op": "remove", "path": "/input/principal/roles/0"},
        ]
    )
    assert told["input"]["message"]["subject"] == "***"
    assert told["input"]["new"] == {"deep": {"a": 1}}
    assert told["input"]["principal"]["roles"] == [None, "c"]
    assert told["masked"] == [
        "/input/message/subject",
        "/input/new/deep",
        "/input/principal/roles/1",
    ]
    assert told["erased"] == ["/input/principal/roles/0"]


@pytest.mark.parametrize("answer", [["/result/reasons"], ["/input/nothing"]])
def test_an_error_says_nothing_where_a_mask_hides_something(answer: Any) -> None:
    """It repeats the first reason, which no pointer of a mask reaches."""
    masker = Masker()
    masker.follow(lambda: Rules(Scripted(answer), drop=False, mask=True))
    error = {"code": "policy_input", "message": "card 4111"}
    line = masker.apply(json.dumps({**EVENT, "error": error}).encode())
    assert line is not None
    hidden = answer == ["/result/reasons"]
    assert json.loads(line)["error"] == {
        **error,
        "message": "" if hidden else "card 4111",
    }


def test_a_pointer_is_unescaped_as_rfc_6901_says() -> None:
    """A header may be called anything."""
    told = masked(["/input/message/headers/a~1b~0c"])
    assert told["input"]["message"]["headers"] == {"x-card": "4111"}


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        (["/input/principal/id"], False),
        ([{"op": "upsert", "path": "/result/x", "value": 1}], False),
        (["/input/nothing"], True),
        ("nonsense", False),
    ],
)
def test_what_is_hidden_cannot_be_guessed_by_its_digest(
    answer: Any, *, kept: bool
) -> None:
    """The digest of the input goes with what it is a digest of."""
    assert ("input_digest" in masked(answer)["custom"]) is kept


@pytest.mark.parametrize("answer", [None, "[]"])
def test_no_mask_changes_nothing(answer: str | None) -> None:
    """Undefined and empty are the same."""
    assert masked(answer) == EVENT


@pytest.mark.parametrize(
    "answer",
    [
        *("true", '"/input"', "17", "{}", "not json", "[" * 3000),
        *([17], [None], [["/input"]], [""], ["input"], ["/labels/x"], ["/"]),
        [{"path": "/input"}],
        [{"op": "erase", "path": "/input"}],
        [{"op": "remove"}],
        [{"op": "remove", "path": 7}],
        ["/input/message/subject", {"op": "remove", "path": ""}],
        ["/input/x"] * 1025,
    ],
    ids=lambda answer: str(answer)[:30],
)
def test_nonsense_hides_everything(answer: Any) -> None:
    """What cannot be understood may have been meant for anything."""
    told = masked(answer)
    assert "4111" not in json.dumps(told)
    assert told["erased"] == ["/input", "/result"]
    assert told["error"]["code"] == "mask_failed"
    assert told["decision_id"] == "id-1"


@pytest.mark.parametrize("kind", ["evaluation", "input", "deadline", "unavailable"])
def test_a_mask_that_fails_hides_everything_and_its_own_words(kind: Kind) -> None:
    """An engine's reason may quote what was to be hidden."""
    told = masked(None, kind=kind)
    assert "4111" not in json.dumps(told)
    assert told["error"]["message"] == f"mask failed: {kind} at log.rego:7"


def test_rules_that_cannot_be_found_hide_everything_until_others_are() -> None:
    """Not knowing the mask is no reason to show."""
    masker = Masker()

    def missing() -> Rules | None:
        raise PolicyLoadError("gone")

    masker.follow(missing)
    line = masker.apply(json.dumps(EVENT).encode())
    assert line is not None
    assert b"4111" not in line
    assert "gone" in masker.trouble
    masker.follow(lambda: None)
    assert masker.apply(b"x") == b"x"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, None),
        (rego('mask contains "/input/x"'), (False, True)),
        (rego("default drop := false", 'drop if input.path == "x"'), (True, False)),
        (rego('mask := {"/input/x"}', "drop := false"), (True, True)),
        (rego("other := 1"), None),
        ('package system\nlog := {"drop": true}\n', (True, True)),
        ('package system.log.mask\nx := "/input/x"\n', (False, True)),
        ("package log\nmask := 1\n", None),
    ],
)
def test_rules_are_found_where_the_policy_has_them(
    tmp_path: Path, text: str | None, found: tuple[bool, bool] | None
) -> None:
    """Where it has none, nothing is ever evaluated."""
    more = {} if text is None else {"log__rego": text}
    rules = rules_of(bundle(tmp_path, **more))
    assert (rules and (rules.drop, rules.mask)) == found


def applied(tmp_path: Path, *rules: str) -> tuple[Masker, Callable[[], Any]]:
    """Return a masker for these rules, and how the event is after it."""
    made = bundle(tmp_path, log__rego=rego(*rules))
    masker = Masker()
    masker.follow(lambda: rules_of(made))

    def apply() -> Any:
        line = masker.apply(json.dumps(EVENT).encode())
        return None if line is None else json.loads(line)

    return masker, apply


def test_rego_masks_see_the_event_and_the_data(tmp_path: Path) -> None:
    """The same input as in OPA."""
    _, apply = applied(
        tmp_path,
        'mask contains "/input/message/headers/x-card" if input.input.message.headers',
        'mask contains {"op": "upsert", "path": "/input/principal/id", "value": "?"} if '
        "data.agents[input.requested_by]",
    )
    told = apply()
    assert told["erased"] == ["/input/message/headers/x-card"]
    assert told["masked"] == ["/input/principal/id"]
    assert told["input"]["principal"]["id"] == "?"


def test_rego_drops_what_it_wants_dropped(tmp_path: Path) -> None:
    """And it is counted."""
    masker, apply = applied(tmp_path, 'drop if input.requested_by == "planner"')
    assert apply() is None
    assert masker.dropped == 1
    masker, apply = applied(tmp_path, 'drop if input.requested_by == "worker"')
    assert apply() == EVENT
    assert masker.dropped == 0


@pytest.mark.parametrize(
    "rules",
    [
        ('drop := "yes"',),
        ("drop := true if input.requested_by", "drop := false if input.decision_id"),
        ("mask := true if input.requested_by", "mask := false if input.decision_id"),
        ("mask := input.input",),
    ],
)
def test_rego_that_fails_hides_everything(
    tmp_path: Path, rules: tuple[str, ...]
) -> None:
    """A drop that fails keeps the event, since nobody wanted it dropped."""
    masker, apply = applied(tmp_path, *rules)
    told = apply()
    assert told["erased"] == ["/input", "/result"]
    assert "4111" not in json.dumps(told)
    assert (masker.erased, masker.dropped) == (1, 0)
