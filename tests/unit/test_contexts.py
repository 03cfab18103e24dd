"""A person's servers: kept for that person alone, and no token is shown."""

import os
import stat
from pathlib import Path

import pytest

from bus.config import Secret
from bus.config.contexts import (
    Context,
    Contexts,
    read_contexts,
    surroundings,
    write_contexts,
)
from bus.core.edgelimits import CONTEXTS_BYTES_MAX, CONTEXTS_MAX
from bus.core.errors import (
    ConfigurationError,
    LimitExceededError,
    MalformedMessageError,
)

PROD = Context(server="wss://bus.example", token=Secret("s3cret"), ca=Path("/ca.pem"))


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """With its token, and for its owner alone."""
    file = tmp_path / "new" / "contexts.json"
    kept = Contexts().added("prod", PROD).added("here", Context(server="ws://[::1]"))
    write_contexts(file, kept)
    assert read_contexts(file) == kept
    assert kept.current == "prod"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [one.name for one in file.parent.iterdir()] == [file.name]
    assert "s3cret" in file.read_text()
    assert "s3cret" not in repr(kept)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """It says what to do."""
    file = tmp_path / "contexts.json"
    write_contexts(file, Contexts().added("prod", PROD))
    file.chmod(0o640)
    with pytest.raises(ConfigurationError, match="make it 0600"):
        read_contexts(file)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"contexts": {"a": {}}}',
        '{"contexts": {"a": {"server": "wss://a", "token": 7}}}',
        '{"contexts": {"a": {"server": "wss://a", "ca": 7}}}',
        '{"more": 1}',
        " " * (CONTEXTS_BYTES_MAX + 1),
    ],
    ids=["cut short", "no server", "odd token", "odd path", "unknown", "too long"],
)
def test_a_file_that_was_not_written_by_us_is_refused(
    tmp_path: Path, text: str
) -> None:
    """It is left as it is."""
    file = tmp_path / "contexts.json"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(ConfigurationError):
        read_contexts(file)
    assert file.read_text() == text


def test_a_write_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing beside it."""
    file = tmp_path / "contexts.json"
    before = Contexts().added("prod", PROD)
    write_contexts(file, before)

    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device", str(handle))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_contexts(file, before.without("prod"))
    monkeypatch.undo()
    assert read_contexts(file) == before
    assert [one.name for one in tmp_path.iterdir()] == [file.name]


def test_contexts_are_named_and_bounded() -> None:
    """Nothing is guessed."""
    kept = Contexts().added("prod", PROD)
    with pytest.raises(ConfigurationError, match="did you mean 'prod'"):
        kept.named("prdo")
    with pytest.raises(ConfigurationError, match="no context"):
        kept.using("other")
    with pytest.raises(ConfigurationError, match="no context"):
        kept.without("other")
    with pytest.raises(MalformedMessageError):
        kept.added("a b", PROD)
    for number in range(CONTEXTS_MAX - 1):
        kept = kept.added(f"c{number}", PROD)
    with pytest.raises(LimitExceededError):
        kept.added("one-more", PROD)
    assert kept.added("prod", Context(server="wss://b")).named("prod").token is None
    assert kept.using("c1").current == "c1"
    assert kept.without("prod").current is None
    assert kept.without("c1").current == "prod"


def test_the_surroundings_say_which_server_is_meant(tmp_path: Path) -> None:
    """Variables, and where the file is."""
    around = surroundings(
        {
            "XDG_CONFIG_HOME": str(tmp_path),
            "ASSENT_TOKEN": "t",
            "ASSENT_SERVER": "wss://a",
            "ASSENT_CONTEXT": "prod",
        }
    )
    assert around.file == tmp_path / "assent" / "contexts.json"
    assert around.token == Secret("t")
    assert (around.server, around.context) == ("wss://a", "prod")
    assert "'t'" not in repr(around)
    home = surroundings({"HOME": "/nowhere", "XDG_CONFIG_HOME": "relative"})
    assert home.file == Path("/nowhere/.config/assent/contexts.json")
    assert (home.token, home.server, home.context) == (None, None, None)
    assert read_contexts(home.file) == Contexts()
    with pytest.raises(ConfigurationError, match="set HOME"):
        surroundings({})
