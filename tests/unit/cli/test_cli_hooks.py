"""The settings of a coding agent: shown as a difference, changed only where they are ours."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bus.cli import hooking, main
from bus.cli.hooksettings import EVENTS, added, removed

LINE = "assent hook claude-code --server http://127.0.0.1:1 --token-file /t"
OTHERS: dict[str, Any] = {
    "model": "x",
    "hooks": {
        "PreToolUse": [
            {"matcher": "Bash", "hooks": [{"type": "command", "command": "lint"}]}
        ],
        "Stop": [{"hooks": [{"type": "command", "command": "say done"}]}],
    },
}


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """Return a file with a token in it."""
    file = tmp_path / "token"
    file.write_text("assent_token\n")
    return file


def install(file: Path, token: Path, *more: str) -> int:
    """Run the command; return its exit code."""
    at = ["--server", "http://127.0.0.1:8222", "--token-file", str(token)]
    return main(["hook", "install", *at, "--settings", str(file), *more])


def test_what_others_have_set_stays() -> None:
    """Also after ours are taken out again."""
    made = added(OTHERS, LINE)
    assert made["model"] == "x"
    assert made["hooks"]["Stop"] == OTHERS["hooks"]["Stop"]
    assert made["hooks"]["PreToolUse"][0] == OTHERS["hooks"]["PreToolUse"][0]
    assert set(EVENTS) <= made["hooks"].keys()
    assert removed(made) == OTHERS


def test_hooks_are_put_in_once_however_often() -> None:
    """A second time changes nothing."""
    assert added(added(OTHERS, LINE), LINE) == added(OTHERS, LINE)
    assert removed({}) == {}
    assert removed(added({}, LINE)) == {}


def test_nothing_is_written_that_nobody_agreed_to(tmp_path: Path, token: Path) -> None:
    """Without a terminal nobody can be asked."""
    file = tmp_path / "settings.json"
    assert install(file, token) == 1
    assert not file.exists()


def test_the_difference_is_shown_and_the_file_written(
    tmp_path: Path, token: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its mode kept; and removed again."""
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(OTHERS))
    file.chmod(0o640)
    assert install(file, token, "--yes") == 0
    shown = capsys.readouterr().out
    assert "+" in shown
    assert "hook claude-code" in shown
    assert removed(json.loads(file.read_text())) == OTHERS
    assert file.stat().st_mode & 0o777 == 0o640
    assert install(file, token, "--yes") == 0
    assert "nothing to change" in capsys.readouterr().out
    assert main(["hook", "remove", "--settings", str(file), "--yes", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["written"]
    assert json.loads(file.read_text()) == OTHERS


@pytest.mark.parametrize("text", ["{", "[]", '{"hooks": []}', '{"hooks": {"Stop": 1}}'])
def test_a_file_that_is_no_settings_is_left_alone(
    tmp_path: Path, token: Path, text: str
) -> None:
    """It is told, and stays as it is."""
    file = tmp_path / "settings.json"
    file.write_text(text)
    assert install(file, token, "--yes") == 2
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--server is missing"),
        (["--server"], "needs a value"),
        (["--odd", "x"], "no option"),
        (["--server", "ftp://x", "--token-file", "{token}"], "http://HOST:PORT"),
        (["--server", "http://example.org", "--token-file", "{token}"], "over https"),
        (["--server", "http://127.0.0.1:1/x", "--token-file", "{token}"], "HOST:PORT"),
        (["--server=http://127.0.0.1:1", "--token-file={token}x"], "--token-file"),
        (["--server=http://127.0.0.1:1", "--token-file={empty}"], "holds no token"),
    ],
)
def test_a_hook_that_is_set_up_wrongly_blocks(
    arguments: list[str], told: str, token: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2, the one that blocks."""
    empty = token.with_name("empty")
    empty.write_text("\n")
    given = [a.format(token=token, empty=empty) for a in arguments]
    assert hooking.main(given) == 2
    assert told in capsys.readouterr().err


def test_settings_are_not_written_for_a_server_that_no_hook_could_ask(
    tmp_path: Path, token: Path
) -> None:
    """The same checks as the hook's own."""
    file = tmp_path / "settings.json"
    given = ["--server", "http://far.example", "--token-file", str(token)]
    assert main(["hook", "install", *given, "--settings", str(file), "--yes"]) == 2
    assert not file.exists()


def test_a_hook_ends_itself_before_the_agent_would(token: Path) -> None:
    """An event that never ends blocks the call: to be ended from outside would not."""
    code = (
        "from bus.cli import hooking; hooking._WHOLE_SECONDS = 0.1; hooking.main("
        f"['--server', 'http://127.0.0.1:1', '--token-file', {str(token)!r}])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as hook:
        assert hook.stderr is not None
        told = hook.stderr.read()
        assert hook.wait() == hooking.BLOCKED
    assert b"no verdict in 0.1 s" in told
