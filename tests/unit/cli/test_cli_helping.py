"""`assent context`, `cheat` and `completion`: what needs no node."""

import json
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from bus.cli import main
from bus.cli.cheat import TOPICS
from bus.cli.completion import SHELLS, words_of
from bus.cli.entry import application
from bus.cli.output import OK, WRONG_USAGE
from bus.cli.server import where
from bus.core.errors import UsageError

Said = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A person's own folder, with nothing in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("ASSENT_TOKEN", "ASSENT_SERVER", "ASSENT_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path  # type: ignore[return-value]  # no teardown


def test_servers_are_kept_by_name(home: Path, capsys: Said) -> None:
    """Added, listed, chosen, forgotten; and a token is never shown."""
    (home / "token").write_text("s3cret\n")
    url = ("--server", "wss://bus.example")
    assert main(["context", "add", "prod", *url, "--token-file", "token"]) == OK
    assert main(["context", "add", "here", "--server", "http://127.0.0.1:1"]) == OK
    assert main(["context", "list"]) == OK
    assert main(["context", "list", "--json"]) == OK
    assert main(["context", "use", "here"]) == OK
    assert where(None, None, None).url == "http://127.0.0.1:1"
    assert main(["context", "remove", "here"]) == OK
    said = capsys.readouterr().out
    assert "s3cret" not in said
    assert "wss://bus.example" in said
    kept = where("prod", None, None)
    assert (kept.url, kept.token) == ("wss://bus.example", "s3cret")
    assert "s3cret" not in repr(kept)
    file = home / "assent" / "contexts.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert main(["context", "use", "here"]) == WRONG_USAGE


def test_what_cannot_be_kept_is_refused_before(home: Path, capsys: Said) -> None:
    """A plain address of elsewhere, or a token that is none."""
    plain = ("--server", "ws://bus.example")
    assert main(["context", "add", "prod", *plain]) == WRONG_USAGE
    (home / "token").write_text("two\nlines")
    url = ("--server", "wss://bus.example")
    odd = ("--token-file", "token")
    assert main(["context", "add", "prod", *url, *odd]) == WRONG_USAGE
    assert "no token" in capsys.readouterr().err
    assert not (home / "assent").exists()


def test_a_token_goes_to_its_own_server_only(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of a context is not sent to a server that is named beside it."""
    (home / "token").write_text("s3cret")
    url = ("--server", "wss://bus.example")
    assert main(["context", "add", "prod", *url, "--token-file", "token"]) == OK
    assert where(None, "wss://other.example", None).token is None
    with pytest.raises(UsageError, match="--context or --server"):
        where("prod", "wss://other.example", None)
    monkeypatch.setenv("ASSENT_TOKEN", "around")
    assert where(None, "wss://other.example", None).token == "around"  # noqa: S105 - no secret
    assert where("prod", None, None).token == "s3cret"  # noqa: S105 - of no use
    assert where("prod", None, "given").token == "given"  # noqa: S105 - of no use
    monkeypatch.setenv("ASSENT_SERVER", "wss://third.example")
    assert where(None, None, None).url == "wss://third.example"
    monkeypatch.setenv("ASSENT_CONTEXT", "prod")
    assert where(None, None, None).url == "wss://bus.example"


def test_without_a_word_the_node_of_this_machine_is_meant(home: Path) -> None:
    """Where the settings say that it is."""
    assert where(None, None, None).url == "http://127.0.0.1:8222"
    (home / "assent.toml").write_text("[http]\nport = 9000\n")
    assert where(None, None, None).url == "http://127.0.0.1:9000"


def test_examples_are_shown_by_topic(capsys: Said) -> None:
    """All, one, or what was meant."""
    assert main(["cheat"]) == OK
    everything = capsys.readouterr().out
    assert all(topic in everything for topic in TOPICS)
    assert main(["cheat", "publish", "--json"]) == OK
    assert list(json.loads(capsys.readouterr().out)) == ["publish"]
    assert main(["cheat", "publsh"]) == WRONG_USAGE
    assert "did you mean 'publish'" in capsys.readouterr().err


@pytest.mark.parametrize("topic", TOPICS)
def test_every_example_is_a_command_with_its_options(topic: str) -> None:
    """As they are now."""
    tree = words_of(typer.main.get_command(application()))
    for _, command in TOPICS[topic]:
        words = command[command.index("assent ") :].split()
        path = words[1] if words[1] in tree else ""
        if f"{path} {words[2] if len(words) > 2 else ''}" in tree:
            path = f"{path} {words[2]}"
        assert path, command
        options = [word for word in words if re.fullmatch(r"--[a-z-]+", word)]
        assert set(options) <= set(tree[path]), command


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_knows_every_command(shell: str, capsys: Said) -> None:
    """From a script that starts no process."""
    assert main(["completion", shell]) == OK
    script = capsys.readouterr().out
    for word in ("stream", "read", "rewind", "context", "follow"):
        assert word in script
    assert main(["completion", "csh"]) == WRONG_USAGE


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("assent strea", {"stream"}),
        ("assent stream ", {"list", "read", "--help"}),
        ("assent stream read --fol", {"--follow"}),
        ("assent pub a b --dedu", {"--dedup"}),
        ("assent context remove --js", {"--json"}),
    ],
)
def test_bash_completes(typed: str, offered: set[str], capsys: Said) -> None:
    """What bash itself makes of the script."""
    bash = shutil.which("bash")
    assert bash is not None
    main(["completion", "bash"])
    script = capsys.readouterr().out
    words = typed.split(" ")
    asked = (
        f"COMP_WORDS=({' '.join(repr(word) for word in words)}); "
        f"COMP_CWORD={len(words) - 1}; _assent; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(
        [bash, "-c", script + asked], capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == offered
    assert done.stderr == ""
