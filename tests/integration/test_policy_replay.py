"""`assent policy replay` as a pipeline runs it: a process, its output, its exit code."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import assent, assert_one_line_of_error
from tests.fakes import decisionlogs, policies

COUNT = 600


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a real log, and the data of the policy that made it."""
    folder = tmp_path_factory.mktemp("replay")
    (folder / "data.json").write_text(json.dumps(policies.data()))
    made = decisionlogs.authorizer()
    senders = ("planner", "worker", "intruder")
    events = list(decisionlogs.events(made, decisionlogs.messages(COUNT, *senders)))
    decisionlogs.write(folder / "log.jsonl", events[:300])
    decisionlogs.write(folder / "log.jsonl.gz", events[290:])
    (folder / "empty.jsonl").write_text("")
    (folder / "broken.jsonl").write_text('{"decision_id": "a"\n')
    data = policies.data()
    data["roles"]["worker"]["publish"] = [{"subject": "tasks.*"}]
    (folder / "candidate.json").write_text(json.dumps(data))
    (folder / "wrong").mkdir()
    (folder / "wrong" / "authz.rego").write_text("package assent.authz\n\nallow if {\n")
    (folder / "wrong" / "data.json").write_text("{}")
    return folder


def test_no_difference_ends_with_0(place: Path) -> None:
    """Over logs of which one is packed, and that overlap."""
    ended = assent(
        place,
        *("policy", "replay", "--data", "data.json", "--json"),
        *("--log", "log.jsonl", "--log", "log.jsonl.gz"),
    )
    assert (ended.code, ended.err) == (0, "")
    counts = ended.document["counts"]
    assert ended.document["ok"]
    assert (counts["decided"], counts["duplicates"]) == (COUNT, 10)


def test_a_difference_ends_with_1_and_is_told(place: Path) -> None:
    """By change and rule, for a person and for a program."""
    given = ("policy", "replay", "--data", "candidate.json", "--log", "log.jsonl")
    ended = assent(place, *given, "--json")
    assert ended.code == 1
    document: dict[str, Any] = ended.document
    assert document["changes"] == {"deny to allow": 100}
    (group,) = document["groups"]
    assert all(one["file"] and one["line"] for one in group["rules"])
    assert len(group["examples"]) == 3
    plain = assent(place, *given)
    assert (plain.code, plain.err) == (1, "")
    assert "100 x deny to allow" in plain.out
    assert "by data.assent.authz.permitted (authz.rego:" in plain.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "data.json", "--log", "empty.jsonl"), "the log is empty"),
        (("--data", "data.json", "--log", "broken.jsonl"), "broken.jsonl:1: "),
        (("--data", "data.json", "--log", "none.jsonl"), "none.jsonl: No such file"),
        (("--bundle", "wrong", "--log", "log.jsonl"), "authz.rego:"),
        (("--bundle", "nowhere", "--log", "log.jsonl"), "no such folder"),
        (("--log", "log.jsonl"), "no policy data"),
    ],
)
def test_what_cannot_be_told_ends_with_2(
    place: Path, arguments: tuple[str, ...], said: str
) -> None:
    """Never with 0: a pipeline would go on."""
    ended = assent(place, "policy", "replay", *arguments, "--json")
    assert ended.code == 2
    assert_one_line_of_error(ended)
    assert said in ended.err


def test_unreadable_lines_may_be_counted_and_left(place: Path) -> None:
    """Where that is asked for; they are still listed."""
    ended = assent(
        place,
        *("policy", "replay", "--data", "data.json", "--json", "--skip-unreadable"),
        *("--log", "broken.jsonl", "--log", "log.jsonl"),
    )
    assert ended.code == 0
    assert ended.document["counts"]["unreadable"] == 1
    assert ended.document["unreadable"][0]["line"] == 1


def test_processes_tell_what_one_tells(place: Path) -> None:
    """The log here has more questions than go into one batch."""
    made = decisionlogs.authorizer()
    messages = (
        policies.message(id=n.to_bytes(16, "big"), subject=f"tasks.t{n}")
        for n in range(400)
    )
    decisionlogs.write(place / "many.jsonl", decisionlogs.events(made, messages))
    data = {**policies.data(), "limits": {"depth": 4}}
    (place / "depth.json").write_text(json.dumps(data))
    given = ("policy", "replay", "--data", "depth.json", "--log", "many.jsonl")
    alone, crowd = (
        assent(place, *given, "--json", "--workers", count) for count in ("1", "2")
    )
    assert alone.document["changes"] == {"obligations": 400}
    assert (crowd.code, crowd.out, crowd.err) == (1, alone.out, "")


def test_a_bundle_is_a_candidate_like_a_folder(place: Path) -> None:
    """Packed in OPA's format, with its own data."""
    from policy.bundle import BUILT_IN, read_folder  # noqa: PLC0415 - as above
    from policy.bundles import archive  # noqa: PLC0415 - only this test packs one

    files = [
        archive.Entry(f"assent/{file.name}", file.text.encode())
        for file in read_folder(BUILT_IN)
    ]
    files.append(archive.Entry("data.json", (place / "candidate.json").read_bytes()))
    files.append(archive.Entry(".manifest", b'{"revision": "r2"}'))
    (place / "bundle.tar.gz").write_bytes(archive.write(files))
    given = ("policy", "replay", "--bundle", "bundle.tar.gz", "--log", "log.jsonl")
    ended = assent(place, *given, "--json")
    assert (ended.code, ended.err) == (1, "")
    assert ended.document["changes"] == {"deny to allow": 100}
    refused = assent(place, *given, "--data", "data.json")
    assert refused.code == 2
    assert "a bundle has its own data" in refused.err
