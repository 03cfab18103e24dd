"""Which policy `assent policy` means: what is named, else what the settings have."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.cli import main
from tests.command import Ended, assert_one_line_of_error
from tests.fakes import bundles, decisionlogs, policies

Command = Callable[..., Ended]
ENTRY = "data.assent.authz.decision"
BUNDLE = ("--set", "bundle.files=['b.gz']")
KEYS = "bundle_keys=[{id='k', algorithm='EdDSA', file='key.pub'}]"
ASKED = ("--input", "in.json")
COMMANDS: dict[str, tuple[str, ...]] = {
    "check": (),
    "eval": (ENTRY,),
    "explain": ASKED,
    "deps": (ENTRY,),
    "replay": ("--log", "log.jsonl"),
}


@pytest.fixture
def policy(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return what calls `assent policy` in this process, for its document."""

    def call(*arguments: str) -> Ended:
        code = main(["policy", *arguments, "--json"])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return call


@pytest.fixture(autouse=True)
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """Return the current folder: a bundle, the folder it is made of, a log of it."""
    monkeypatch.chdir(tmp_path)
    rule = 'decision := {"allow": input.ours, "reasons": [], "obligations": []}'
    folder = policies.folder(tmp_path / "ours", policies.authz(rule))
    (folder / ".manifest").write_text('{"roots": ["assent/authz", "agents"]}')
    (tmp_path / "in.json").write_text('{"ours": true}')
    private = bundles.private_pem("EdDSA", 0)
    (tmp_path / "key.pub").write_bytes(bundles.public_pem(private))
    (tmp_path / "key.pem").write_bytes(private)
    assert main(["bundle", "build", "ours", "-o", "b.gz"]) == 0
    signing = ("sign", "b.gz", "--signing-key", "key.pem", "--key-id", "k")
    assert main(["bundle", *signing, "-o", "s.gz"]) == 0
    event = {
        "decision_id": "d1",
        "path": "assent/authz/decision",
        "input": {"ours": True},
        "result": {"allow": True, "reasons": [], "obligations": []},
    }
    decisionlogs.write(tmp_path / "log.jsonl", [event])
    capsys.readouterr()
    return tmp_path


def test_the_settings_bundle_is_read(place: Path, policy: Command) -> None:
    """By every command, where nothing else is named."""
    del place
    report = policy("check", *BUNDLE).document["report"]
    assert report["files"] == ["authz.rego"]
    assert report["input"] == ["ours"]
    (found,) = policy("eval", ENTRY, *ASKED, *BUNDLE).document["results"]
    assert found["expressions"][0]["value"]["allow"] is True
    (told,) = policy("explain", *ASKED, *BUNDLE).document["explanations"]
    assert told["explanation"]["revision"] == report["revision"]
    assert policy("deps", ENTRY, *BUNDLE).document["input"] == ["ours"]
    replayed = policy("replay", "--log", "log.jsonl", *BUNDLE)
    assert (replayed.code, replayed.document["candidate"]) == (0, report["revision"])


def test_a_bundle_of_the_settings_is_checked_with_their_keys(policy: Command) -> None:
    """As the bus does it."""
    refused = policy("explain", *ASKED, *BUNDLE, "--set", KEYS)
    assert refused.code == 2
    assert "not signed" in refused.err
    good = policy("explain", *ASKED, "--set", "bundle.files=['s.gz']", "--set", KEYS)
    assert good.code == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_at_a_server_the_files_are_its_own(policy: Command, command: str) -> None:
    """The built-in rules would tell nothing of it; what is named is still read."""
    server = ("--set", "policy.engine=opa", "--set", "opa.url=http://127.0.0.1:1")
    ended = policy(command, *COMMANDS[command], *server)
    assert ended.code == 2
    assert "policy.engine is opa: the policy's files are the server's" in ended.err
    assert_one_line_of_error(ended)
    named = {"check": "--folder", "eval": ""}.get(command, "--bundle")
    if named:
        assert policy(command, *COMMANDS[command], *server, named, "ours").code == 0


@pytest.mark.parametrize("command", ["check", "eval", "explain", "deps", "replay"])
def test_a_bundle_of_the_settings_takes_no_other_data(
    place: Path, policy: Command, command: str
) -> None:
    """The rules would silently be the built-in ones."""
    (place / "data.json").write_text(json.dumps(policies.data()))
    given = (*COMMANDS[command], *BUNDLE, "--data", "data.json")
    ended = policy(command, *given)
    assert ended.code == 2
    assert "the settings' policy is a bundle" in ended.err


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("bundle.token=x", "bundle.token: set, and nothing uses it"),
        ("policy.areas=['rbac']", "no policy data"),
        (KEYS, "bundle_keys: no bundle is checked with them"),
    ],
    ids=lambda s: s[:9],
)
def test_settings_that_make_no_policy_are_no_silence(
    policy: Command, setting: str, said: str
) -> None:
    """`deps` would tell of the built-in rules without them."""
    ended = policy("deps", ENTRY, "--set", setting)
    assert ended.code == 2
    assert ended.err.startswith(f"assent: {said}")
    assert_one_line_of_error(ended)


def test_deps_of_a_bundle(policy: Command) -> None:
    """Named as for the other commands."""
    for name in ("b.gz", "ours"):
        assert policy("deps", ENTRY, "--bundle", name).document["input"] == ["ours"]
    both = policy("deps", ENTRY, "--bundle", "b.gz", "--folder", "ours")
    assert both.code == 2
    assert "give one" in both.err


def test_a_folder_is_replayed_before_it_is_signed(place: Path, policy: Command) -> None:
    """Its archive is not, and neither is a folder whose signature does not hold."""
    settings = ("--set", KEYS, "--set", "bundle.files=['s.gz']")
    given = ("replay", "--log", "log.jsonl", *settings, "--bundle")
    assert policy(*given, "ours").code == 0
    assert policy(*given, "s.gz").code == 0
    archive = policy(*given, "b.gz")
    assert archive.code == 2
    assert "not signed" in archive.err
    (place / "ours" / ".signatures.json").write_text('{"signatures": ["a.b.c"]}')
    assert policy(*given, "ours").code == 2


def test_a_server_of_bundles_that_does_not_answer_ends_a_replay_with_2(
    policy: Command,
) -> None:
    """It cannot be told."""
    away = ("--set", "bundle.url=http://127.0.0.1:1/b")
    ended = policy("replay", "--log", "log.jsonl", *away)
    assert ended.code == 2
    assert_one_line_of_error(ended)


@pytest.mark.parametrize("command", [("explain",), ("eval", ENTRY)])
def test_an_input_that_is_wrong_is_named_as_it_is_called(
    place: Path, policy: Command, command: tuple[str, ...]
) -> None:
    """With its line."""
    (place / "bad.txt").write_text('{\n"a": }')
    ended = policy(*command, *BUNDLE, "--input", "bad.txt")
    assert ended.code == 2
    assert "assent: bad.txt:2: " in ended.err
