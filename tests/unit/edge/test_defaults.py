"""What a node keeps where nothing is set, and what is left to what is set."""

import stat
from pathlib import Path

import pytest

from bus.app import Bus
from bus.config import load
from bus.core.errors import ConfigurationError
from bus.edge import defaults
from policy import data

FOLDER = Path("assent-data")


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to stand in."""
    monkeypatch.chdir(tmp_path)


def resolved(*flags: str) -> defaults.Defaults:
    """Return the settings of a node with these flags."""
    return defaults.resolved(load(environ={}, flags=flags))


def test_everything_has_its_place_in_the_folder() -> None:
    """Messages, tokens, the audit record, and policy data."""
    told = resolved("node.folder=kept")
    kept = Path("kept")
    assert told.settings.store.kind == "sqlite"
    assert told.settings.store.file == kept / "messages.sqlite"
    assert told.settings.node.tokens_file == kept / "tokens.sqlite"
    assert told.settings.audit.file == kept / "audit.log"
    assert told.settings.policy.data == kept / "policy.toml"
    assert not kept.exists()


@pytest.mark.parametrize(
    ("flag", "section"),
    [
        ("store.kind=memory", "store"),
        ("store.kind=direct", "store"),
        ("store.file=mine.sqlite", "store"),
        ("audit.file=mine.log", "audit"),
        ("audit.file=", "audit"),
        ("policy.data=mine.json", "policy"),
        ("policy.folder=rules", "policy"),
        ("bundle.url=https://a.example/b", "policy"),
        ("bundle.files=['b.tar.gz']", "bundle"),
    ],
)
def test_what_is_set_is_honoured(flag: str, section: str) -> None:
    """Whatever it is set to, and though it is what it would be anyway."""
    set_by_hand = load(environ={}, flags=[flag]).settings
    found = resolved(flag).settings
    assert getattr(found, section) == getattr(set_by_hand, section)
    assert found.node.tokens_file == FOLDER / "tokens.sqlite"


def test_tokens_are_where_the_settings_say() -> None:
    """And an OPA server has its own policy."""
    assert resolved("node.tokens_file=t").settings.node.tokens_file == Path("t")
    told = resolved("policy.engine=opa", "opa.url=http://127.0.0.1:1")
    assert (told.starter, told.settings.policy.data) == (False, None)


def test_without_a_folder_nothing_is_made() -> None:
    """An empty text unsets it."""
    told = resolved("node.folder=")
    assert told.folder is None
    assert told.settings.node.tokens_file is None
    assert defaults.make(told) == ()
    defaults.unmake(told)
    assert list(Path().iterdir()) == []


def test_everything_set_needs_no_folder() -> None:
    """It is not made for nothing."""
    flags = ("store.kind=memory", "audit.file=a", "policy.data=b", "node.tokens_file=c")
    assert resolved(*flags).folder is None


def test_the_folder_is_its_owners_and_what_is_made_is_said_once() -> None:
    """The second time everything is there, and nothing is changed."""
    told = resolved()
    made = defaults.make(told)
    assert stat.S_IMODE(FOLDER.stat().st_mode) == 0o700
    names = [line.partition(":")[0] for line in made]
    assert names == [
        "assent-data",
        "assent-data/policy.toml",
        "assent-data/tokens.sqlite",
        "assent-data/messages.sqlite",
        "assent-data/messages.sqlite-keys",
        "assent-data/audit.log",
    ]
    policy = FOLDER / "policy.toml"
    policy.write_text("mine")
    again = defaults.make(told)
    assert [line.partition(":")[0] for line in again] == names[2:]
    assert policy.read_text() == "mine"
    assert list(FOLDER.iterdir()) == [policy]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """With the setting's name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"node.folder file/below: Not a dir"):
        defaults.make(resolved("node.folder=file/below"))


def test_only_an_empty_folder_is_removed_again() -> None:
    """A node that was refused leaves nothing, and takes nothing along."""
    told = resolved("policy.data=none.json")
    defaults.make(told)
    defaults.unmake(told)
    assert not FOLDER.exists()
    defaults.unmake(told)
    defaults.make(resolved())
    defaults.unmake(told)
    assert (FOLDER / "policy.toml").exists()


def test_a_starter_policy_that_nobody_edited_goes_with_its_folder() -> None:
    """One that was edited stays."""
    told = resolved()
    defaults.make(told)
    defaults.unmake(told)
    assert not FOLDER.exists()
    defaults.make(told)
    policy = FOLDER / "policy.toml"
    policy.write_text(policy.read_text() + "# mine\n")
    defaults.unmake(told)
    assert policy.exists()


def test_the_starter_policy_is_one_that_the_engine_takes() -> None:
    """With the admin, and two agents that may do little."""
    defaults.make(resolved())
    file = FOLDER / "policy.toml"
    parsed = data.parse(file.name, file.read_text())
    data.check_built_in(file.name, parsed)
    bus = Bus(file)
    assert bus.authorizer.principal(defaults.ADMIN).roles == ("operator",)
    assert set(parsed["agents"]) == {"admin", "planner", "worker"}
