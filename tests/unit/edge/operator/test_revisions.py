"""Revisions kept with their texts, bounded; and what differs between two."""

from typing import Any

import pytest

from bus.core.edgeerrors import NotFoundError
from bus.edge.operator import revisions as keeping
from bus.edge.operator.revisions import Revisions, differences
from policy.bundle import Bundle
from policy.source import Source


class Changing:
    """Stands for the inside of a bus whose policy changes."""

    def __init__(self) -> None:
        self.made: Bundle | None = None
        self.bus, self.policy = self, self
        self.now = 0

    @property
    def revision(self) -> str:
        """The revision in force."""
        return "" if self.made is None else self.made.revision

    def bundle(self) -> Bundle | None:
        """Return the files in force."""
        return self.made

    def now_ns(self) -> int:
        """Return a time that goes on."""
        self.now += 1
        return self.now


def bundle(text: str = "package a\n", **data: Any) -> Bundle:
    """Return a policy of one file."""
    given = {"agents": {}, **data}
    return Bundle((Source("a.rego", text),), given, "data", built_in=False)


def test_each_revision_is_kept_once_and_the_oldest_goes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that comes back is the newest again."""
    monkeypatch.setattr(keeping, "REVISIONS_KEPT_MAX", 2)
    inside: Any = Changing()
    kept = Revisions(inside)
    assert kept.note() is False
    policies = [bundle(n=n) for n in range(3)]
    for one in policies:
        inside.made = one
        assert kept.note(by="admin") is True
        assert kept.note() is False
    assert [one.bundle for one in kept.newest_first] == policies[:0:-1]
    with pytest.raises(NotFoundError):
        kept.of(policies[0].revision)
    inside.made = policies[1]
    kept.note()
    assert kept.of("").bundle is policies[1]
    assert kept.note(by="admin") is False
    assert kept.of("").by == "admin"
    assert [one.bundle for one in kept.newest_first] == [policies[1], policies[2]]


def test_texts_that_are_too_long_go_but_for_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever its size."""
    monkeypatch.setattr(keeping, "REVISIONS_BYTES_MAX", 10)
    inside: Any = Changing()
    kept = Revisions(inside)
    for number in range(3):
        inside.made = bundle(n=number)
        kept.note()
    assert len(kept.newest_first) == 1


def test_rules_differ_by_line_and_data_by_member() -> None:
    """Data only where they may be told."""
    before = bundle("package a\n\nx := 1\n", roles={"r": {"a": 1}}, n=1)
    after = bundle("package a\n\nx := 2\n", roles={"r": {"a": 2}, "s": {}}, n=1)
    (rules,) = differences(before, after, with_data=False)
    assert (rules.name, rules.change) == ("a.rego", "changed")
    assert {"-x := 1", "+x := 2"} <= set(rules.lines)
    _, members = differences(before, after, with_data=True)
    assert members.lines == (
        '-roles.r: {"a":1}',
        '+roles.r: {"a":2}',
        "+roles.s: {}",
    )


def test_files_that_came_and_went_are_told() -> None:
    """And a very long one is told as changed."""
    long = "package a\n" + "# x\n" * 200_000
    before = Bundle(
        (Source("a.rego", long), Source("b.rego", "package b\n")),
        {},
        "d",
        built_in=False,
    )
    after = Bundle(
        (Source("a.rego", long + "#"), Source("c.rego", long)), {}, "d", built_in=False
    )
    found = {one.name: one for one in differences(before, after, with_data=True)}
    assert (found["a.rego"].lines, found["a.rego"].cut) == ((), True)
    assert (found["b.rego"].change, found["b.rego"].lines) == (
        "removed",
        ("-package b",),
    )
    assert (found["c.rego"].change, found["c.rego"].cut) == ("added", True)
    assert differences(before, before, with_data=True) == []


def test_a_revision_that_was_just_put_in_force_is_known() -> None:
    """Whoever asks in the second before it is noted is answered as well."""
    inside: Any = Changing()
    kept = Revisions(inside)
    inside.made = bundle(n=1)
    assert kept.of("").bundle is inside.made
    assert kept.of(inside.revision).bundle is inside.made
