"""`assent bundle`: what a pipeline calls, with its documents and exit codes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bus.cli import main
from tests.command import Ended, assert_one_line_of_error
from tests.fakes import bundles, policies

Command = Callable[..., Ended]
ROOTS = ("--root", "assent/authz", "--root", "agents")


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Return what calls `assent bundle` in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Ended:
        code = main(["bundle", *arguments])
        said = capsys.readouterr()
        return Ended(code, said.out, said.err)

    return call


@pytest.fixture
def run(command: Command) -> Command:
    """Return what calls it for its document."""
    return lambda *arguments: command(*arguments, "--json")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, command: Command) -> Path:
    """Return the folder, with a policy folder, a bundle of it, and keys."""
    policies.folder(tmp_path / "policy", policies.ALLOW_ALL)
    for number, name in enumerate(("key", "other")):
        private = bundles.private_pem("EdDSA", number)
        (tmp_path / f"{name}.pem").write_bytes(private)
        (tmp_path / f"{name}.pub").write_bytes(bundles.public_pem(private))
    made = command("build", "policy", "-o", "b.gz", "--revision", "r1", *ROOTS)
    assert made.code == 0, made.err
    return tmp_path


def refused(ended: Ended, code: int, said: str) -> None:
    """Assert that a command ended with one line of error."""
    assert ended.code == code, ended.err
    assert said in ended.err
    assert_one_line_of_error(ended)


def test_building_tells_what_was_made(place: Path, run: Command) -> None:
    """The revision and the digest by which states are recorded; the file is plain."""
    made = run("build", "policy", "-o", "again.gz", "--revision", "r1", *ROOTS)
    assert made.document["declared"] == "r1"
    assert made.document["digest"].startswith(made.document["revision"])
    assert made.document["signed"] is False
    assert (place / "again.gz").read_bytes() == (place / "b.gz").read_bytes()
    assert (place / "b.gz").stat().st_mode & 0o777 == 0o644


def test_signing_and_verifying(run: Command) -> None:
    """By the key that signed; another one fails the check, and so does none."""
    made = run("sign", "b.gz", "--signing-key", "key.pem", "-o", "s.gz")
    assert made.document["signed"] is True
    good = run("verify", "s.gz", "--key", "key.pub")
    assert good.code == 0
    assert good.document["signature"]["algorithm"] == "EdDSA"
    for arguments, said in (
        (("s.gz", "--key", "other.pub"), "does not hold"),
        (("s.gz",), "no key is configured"),
        (("b.gz", "--key", "key.pub"), "not signed"),
        (("s.gz", "--key", "key.pub", "--scope", "x"), "scope"),
    ):
        bad = run("verify", *arguments)
        refused(bad, 1, said)
        assert bad.document["ok"] is False
        assert said in bad.document["reason"]
    assert run("verify", "b.gz").document["signature"] is None


def test_people_are_told_in_lines(command: Command) -> None:
    """Without --json, as much."""
    assert command(
        "sign", "b.gz", "--signing-key", "key.pem", "-o", "s.gz"
    ).out.startswith("s.gz: ")
    said = command("verify", "s.gz", "--key", "key.pub").out
    assert "signed by key default (EdDSA)" in said
    shown = command("inspect", "s.gz").out
    assert "assent/authz, agents" in shown
    assert "by 'default', EdDSA" in shown
    assert "not signed" in command("verify", "b.gz").out


def test_inspecting_shows_what_it_says(run: Command) -> None:
    """Manifest, files and the claim of a signature, without a key."""
    shown = run("inspect", "b.gz").document
    assert shown["manifest"]["revision"] == "r1"
    assert [file["name"] for file in shown["files"]] == [
        ".manifest",
        "authz.rego",
        "data.json",
    ]
    assert shown["claimed"] is None


def test_a_bundle_goes_through_its_states(run: Command, command: Command) -> None:
    """Each with who did it; nobody approves his own, and states are not skipped."""

    def event(name: str, who: str) -> Ended:
        arguments = ("--record", "states.jsonl", "--event", name, "--by", who)
        return run("state", "b.gz", *arguments)

    assert event("draft", "ann").document["state"] == "draft"
    refused(event("publish", "ann"), 1, "publish is not possible for what is draft")
    event("submit", "ann")
    refused(event("approve", "ann"), 1, "may not approve it")
    event("approve", "bob")
    published = event("publish", "ann").document
    assert (published["state"], published["active"]) == ("published", True)
    assert [entry["who"] for entry in published["history"]] == [
        "ann",
        "ann",
        "bob",
        "ann",
    ]
    digest = run("inspect", "b.gz").document["digest"]
    revoke = ("--event", "revoke", "--by", "bob", "--reason", "leaks")
    done = command("state", digest, "--record", "states.jsonl", *revoke)
    assert done.out.splitlines()[0] == "revoked"
    assert "leaks" in done.out


def test_a_record_that_is_not_there_is_not_read_as_an_empty_one(
    place: Path, run: Command
) -> None:
    """A name that is misspelt would say that nothing was ever done."""
    refused(run("state", "b.gz", "--record", "typo"), 2, "typo: no such record")
    late = ("--event", "approve", "--by", "bob")
    refused(run("state", "b.gz", "--record", "typo", *late), 1, "not possible")
    assert not (place / "typo").exists()
    draft = ("--event", "draft", "--by", "ann")
    assert run("state", "0" * 64, "--record", "states", *draft).code == 0
    assert run("state", "b.gz", "--record", "states").document == {
        "ok": True,
        "state": "absent",
        "active": False,
        "history": [],
    }


def test_what_does_not_parse_is_not_built(place: Path, run: Command) -> None:
    """With file and line, and no file."""
    policies.folder(place / "policy", "package assent.authz\n\ndecision :=\n")
    bad = run("build", "policy", "-o", "x.gz", *ROOTS)
    refused(bad, 2, "authz.rego:")
    assert not (place / "x.gz").exists()


def test_a_part_of_a_policy_is_built_and_it_is_said(
    place: Path, run: Command, command: Command
) -> None:
    """Another bundle brings the entry rule, or the functions that are called."""
    text = "package lib\n\nx := data.other.f(1)\n"
    (policies.folder(place / "lib", text) / "data.json").unlink()
    given = ("build", "lib", "-o", "lib.gz", "--root", "lib")
    assert run(*given).document["part"] is True
    assert "part of a policy: there is no rule data.assent" in command(*given).out
    refused(run("verify", "lib.gz"), 1, "--part is for one of several")
    assert run("verify", "lib.gz", "--part").code == 0
    assert run("build", "policy", "-o", "x.gz", *ROOTS).document["part"] is False


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (policies.authz('decision := "yes"'), "tried out"),
        (policies.authz("decision := nosuch(1)"), "authz.rego:3: there is no function"),
    ],
)
def test_verify_refuses_what_the_bus_would(
    place: Path, run: Command, text: str, said: str
) -> None:
    """It is loaded and asked, not only unpacked."""
    policies.folder(place / "policy", text)
    assert run("build", "policy", "-o", "x.gz", *ROOTS).code == 0
    bad = run("verify", "x.gz")
    refused(bad, 1, said)
    assert bad.document["file"].startswith("x.gz")


def test_a_bundle_is_not_said_to_be_signed_by_another_key(run: Command) -> None:
    """The name of the key is the signature's."""
    signing = ("--signing-key", "key.pem", "--key-id", "release")
    run("sign", "b.gz", *signing, "-o", "s.gz")
    given = ("verify", "s.gz", "--key", "key.pub")
    refused(
        run(*given, "--key-id", "other"), 1, "signed by key 'release', not by 'other'"
    )
    refused(run(*given), 1, "signed by key 'release', not by 'default'")
    good = run(*given, "--key-id", "release")
    assert good.document["signature"]["key_id"] == "release"


def test_what_is_declared_is_no_revision(command: Command) -> None:
    """The revision is made of the contents; both are shown by every command."""
    built = command("build", "policy", "-o", "r.gz", "--revision", "2026.47", *ROOTS)
    signing = ("--signing-key", "key.pem", "-o", "s.gz")
    for ended in (
        built,
        command("sign", "r.gz", *signing),
        command("verify", "r.gz"),
        command("inspect", "r.gz"),
    ):
        assert "declared 2026.47, revision " in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("build", "no", "-o", "x.gz"), "no such folder"),
        (("build", "policy", "-o", "x.gz", "--root", "other"), "outside the roots"),
        (("sign", "no.gz", "--signing-key", "key.pem", "-o", "x.gz"), "no such file"),
        (("sign", "b.gz", "--signing-key", "no.pem", "-o", "x.gz"), "cannot be read"),
        (("sign", "b.gz", "--signing-key", "key.pub", "-o", "x.gz"), "private key"),
        (("sign", "b.gz", "--signing-key", "b.gz", "-o", "x.gz"), "no key in PEM"),
        (("verify", "no.gz"), "no such file"),
        (("inspect", "key.pem"), "no gzip file"),
        (("state", "b.gz", "--record", "s", "--event", "draft"), "go together"),
        (
            ("state", "b.gz", "--record", "s", "--event", "x", "--by", "a"),
            "no event 'x'",
        ),
        (("state", "b.gz", "--record", "s", "--event", "draft", "--by", "a b"), "who"),
    ],
)
def test_wrong_usage_writes_nothing(
    place: Path, run: Command, arguments: tuple[str, ...], said: str
) -> None:
    """Exit code 2, one line, and no file."""
    before = sorted(place.iterdir())
    ended = run(*arguments)
    refused(ended, 2, said)
    assert ended.out == ""
    assert sorted(place.iterdir()) == before
