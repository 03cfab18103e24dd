"""`assent token`, and `assent up` where it refuses: what is said, and what is left."""

import json
from pathlib import Path
from typing import Any

import pytest

from bus.cli import main
from bus.cli.output import OK, WRONG_USAGE

Capture = pytest.CaptureFixture[str]

DATA = {
    "agents": {"worker": {"tenant": "acme", "roles": ["work"]}},
    "roles": {"work": {"subscribe": ["tasks.>"]}},
    "tenants": {"acme": {}},
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def told(folder: Path) -> None:
    """Settings with policy data, and a place for tokens."""
    (folder / "data.json").write_text(json.dumps(DATA))
    (folder / "assent.toml").write_text(
        '[policy]\ndata = "data.json"\n[node]\ntokens_file = "tokens.sqlite"\n'
    )


def refused(capsys: Capture, *arguments: str) -> str:
    """Run a command that is refused in one line, and return it."""
    assert main(arguments) == WRONG_USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def document(capsys: Capture, *arguments: str) -> Any:
    """Run a command with --json and return its document."""
    assert main([*arguments, "--json"]) == OK
    return json.loads(capsys.readouterr().out)


def test_before_a_node_ran_there_is_nothing_to_make_or_show(
    folder: Path, capsys: Capture
) -> None:
    """It is said what is missing, and nothing is made."""
    assert "assent-data/policy.toml" in refused(capsys, "token", "create", "worker")
    assert "'assent up' makes it" in refused(capsys, "token", "list")
    assert "'assent up' makes it" in refused(capsys, "token", "revoke", "a")
    nowhere = ("token", "list", "--set", "node.folder=")
    assert "node.tokens_file" in refused(capsys, *nowhere)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wrker"], "did you mean 'worker'"),
        (["worker", "--scope", "root"], "no scope 'root'"),
        (["worker", "--days", "0"], "1 s at least"),
        (["worker", "--days", "1e9"], "seconds"),
        (["worker", "--days", "-1"], "seconds"),
        (["worker", "--role", "judge"], "no role 'judge'"),
        (["worker", "--label", "x" * 101], "label characters"),
        (["worker", "--label", "a\nb"], "printable"),
    ],
)
@pytest.mark.usefixtures("told")
def test_a_token_that_cannot_be_is_not_made(
    arguments: list[str], said: str, folder: Path, capsys: Capture
) -> None:
    """Its agent must be one that policy data name."""
    assert said in refused(capsys, "token", "create", *arguments)
    assert not (folder / "tokens.sqlite").exists()


@pytest.mark.usefixtures("told")
def test_a_token_is_made_listed_and_revoked(folder: Path, capsys: Capture) -> None:
    """Its text is shown once; the list has everything else."""
    options = ("--scope", "operator", "--days", "2", "--label", "a test's")
    assert main(["token", "create", "worker", "--role", "work", *options]) == OK
    token = capsys.readouterr().out.split()[-1]
    token_id, secret = token.split("_")[1:]
    (listed,) = document(capsys, "token", "list", "worker")["tokens"]
    assert (listed["id"], listed["agent"]) == (token_id, "worker")
    assert (listed["scope"], listed["state"]) == ("operator", "valid")
    assert main(["token", "list"]) == OK
    shown = capsys.readouterr().out
    assert "a test's" in shown
    assert secret not in shown
    assert secret.encode() not in (folder / "tokens.sqlite").read_bytes()
    assert document(capsys, "token", "list", "nobody") == {"tokens": []}
    assert main(["token", "revoke", token_id]) == OK
    assert "is revoked" in capsys.readouterr().out
    assert document(capsys, "token", "revoke", token_id)["state"] == "revoked"
    assert "no token 0000" in refused(capsys, "token", "revoke", "0000")
    made = document(capsys, "token", "create", "worker")
    assert made["token"].startswith(f"assent_{made['id']}_")
    (folder / "tokens.sqlite").chmod(0o644)
    assert "make it 0600" in refused(capsys, "token", "list")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["http.host=0.0.0.0"], "http.cert_file"),
        (["http.host=0.0.0.0", "http.cert_file=c", "http.key_file=k"], "http.key_file"),
        (["policy.data=none.json"], "none.json"),
        (["policy.engine=opa"], "opa.url"),
        (
            ['issuers=[{issuer="i", audience="a", jwks_file="k", tenants=["main"]}]'],
            "k: No such file",
        ),
        (["node.folder=none/below"], "node.folder none/below"),
        (["node.admin=nobody"], "node.admin"),
    ],
)
def test_a_node_that_would_not_be_safe_does_not_start(
    flags: list[str], said: str, folder: Path, capsys: Capture
) -> None:
    """One line that names the setting."""
    chosen = [part for flag in flags for part in ("--set", flag)]
    assert said in refused(capsys, "up", "--set", "http.port=0", *chosen)
    if flags[0] in {"policy.data=none.json", "node.folder=none/below"}:
        assert list(folder.iterdir()) == []
