"""A policy is tried out before it is in force."""

from pathlib import Path

import pytest

from bus.core.errors import PolicyLoadError
from policy.bundle import Origin
from policy.loading import PolicyFiles, build
from tests.fakes import policies


def refused(place: Path, *rules: str) -> PolicyLoadError:
    """Return why a policy of these rules is refused."""
    with pytest.raises(PolicyLoadError) as error:
        build(Origin(folder=policies.folder(place, policies.authz(*rules))).read())
    return error.value


def test_a_policy_without_the_entry_rule_is_refused(tmp_path: Path) -> None:
    """A bundle for something else does not become a policy that denies everything."""
    assert "no rule data.assent.authz.decision" in refused(tmp_path, "x := 1").reason


@pytest.mark.parametrize(
    "rule",
    [
        "decision := true",
        'decision := "allow"',
        'decision := {"allow": "true"}',
        'decision := {"allow": true, "obligations": [{"type": "unheard_of"}]}',
        'decision := {"allow": true} if input.action == "subscribe" else := 1',
    ],
)
def test_an_entry_rule_that_answers_no_decision_is_refused(
    tmp_path: Path, rule: str
) -> None:
    """Guard: the dry run reads the answer as the bus would."""
    assert "tried out" in refused(tmp_path, rule).reason


@pytest.mark.parametrize(
    "rule",
    [
        'decision := {"allow": 1 / input.message.depth == 1}',
        'decision := {"allow": startswith(input.message.priority, "a")}',
        'decision := {"allow": x}\nx := 1\nx := 2',
        'decision := {"allow": x}\nx if y\ny if x',
        'decision := {"allow": x if input.subscription.queue == to_number("q")',
    ],
)
def test_a_rule_that_fails_when_reached_is_refused(tmp_path: Path, rule: str) -> None:
    """Guard: errors that the engine finds only in a rule it runs are found at load."""
    error = refused(tmp_path, rule)
    assert error.file == "authz.rego"
    assert error.line >= 3


def test_an_undefined_answer_is_no_reason_to_refuse(tmp_path: Path) -> None:
    """Policy may be silent; the bus then denies."""
    policies.ruled(tmp_path, 'decision := {"allow": true} if input.never')


def test_a_change_is_seen_once(tmp_path: Path) -> None:
    """A watcher asks often; only a write makes it read, and a reload ends it."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    files = PolicyFiles(Origin(folder=place))
    revision = files.read().revision
    assert not files.changed(revision)
    (place / "authz.rego").write_text(policies.ALLOW_ALL + "# more\n")
    assert files.changed(revision)
    revision = files.read().revision
    assert not files.changed(revision)


def test_writing_the_same_is_no_change(tmp_path: Path) -> None:
    """Times differ, content does not."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    files = PolicyFiles(Origin(folder=place))
    revision = files.read().revision
    (place / "authz.rego").unlink()
    (place / "authz.rego").write_text(policies.ALLOW_ALL)
    assert not files.changed(revision)
    assert not files.changed(revision)


def test_what_cannot_be_read_is_a_change_until_it_was_loaded(tmp_path: Path) -> None:
    """The reload says why, once; then it waits for the next write."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    files = PolicyFiles(Origin(folder=place))
    revision = files.read().revision
    (place / "authz.rego").write_bytes(b"\xff")
    assert files.changed(revision)
    with pytest.raises(PolicyLoadError):
        files.read()
    assert not files.changed(revision)
    (place / "authz.rego").write_text(policies.ALLOW_ALL)
    assert not files.changed(revision)


def test_a_folder_that_vanished_is_a_change(tmp_path: Path) -> None:
    """It is not taken for unchanged."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    files = PolicyFiles(Origin(folder=place))
    revision = files.read().revision
    place.rename(tmp_path / "gone")
    assert files.changed(revision)


def test_a_refusal_that_lasts_is_a_change_once(tmp_path: Path) -> None:
    """However often a watcher asks; another refusal, and the way back, are changes."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    files = PolicyFiles(Origin(folder=place))
    revision = files.read().revision
    outside = tmp_path / "outside.rego"
    outside.write_text("package outside\n")
    link, circle = place / "link.rego", place / "circle.rego"

    def told_once(said: str) -> None:
        assert files.changed(revision)
        with pytest.raises(PolicyLoadError, match=said):
            files.read()
        assert [files.changed(revision) for _ in range(3)] == [False] * 3

    link.symlink_to(outside)
    told_once("out of the folder")
    link.unlink()
    circle.symlink_to(circle)
    told_once("link")
    circle.unlink()
    place.rename(tmp_path / "gone")
    told_once("no such folder")
    (tmp_path / "gone").rename(place)
    assert not files.changed(revision)
    (place / "authz.rego").write_text(policies.ALLOW_ALL + "# more\n")
    assert files.changed(revision)


def test_a_refusal_nobody_read_stays_a_change(tmp_path: Path) -> None:
    """Being asked is not yet having said it."""
    place = policies.folder(tmp_path / "p", policies.ALLOW_ALL)
    files = PolicyFiles(Origin(folder=place))
    revision = files.read().revision
    (place / "link.rego").symlink_to(tmp_path)
    assert files.changed(revision)
    assert files.changed(revision)
