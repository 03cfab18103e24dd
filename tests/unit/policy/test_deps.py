"""What a rule is found to read is never less than what it reads."""

import pytest

from bus.core.errors import PolicyLoadError
from policy.deps import dependencies
from policy.engine import Engine
from policy.source import Source
from policy.syntax import parse


def read(rules: str, *more: str, entry: str = "data.a.x") -> set[str] | None:
    """Return the input paths found for `entry`, or None for the whole input."""
    files = [Source("a.rego", f"package a\n{rules}")]
    files += [Source(f"{n}.rego", text) for n, text in enumerate(more)]
    engine = Engine(files, "{}")
    found = dependencies(engine.program, entry, engine.builtins).input
    return None if found is None else {".".join(path) for path in found}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("x := 1", set()),
        ("x := input.a.b", {"a.b"}),
        ('x := input["a"]["b"]', {"a.b"}),
        ("x := input.a[0].c", {"a"}),
        ("x := input.a[_]", {"a"}),
        ("x := input.a[input.b]", {"a", "b"}),
        ("x := input.a.b if input.a", {"a"}),
        ("x := input[input.k]", None),
        ("x := input", None),
        ("x if { y := input; y.a }", None),
        ("x if { y := input.a; y.b }", {"a"}),
        ("x if some y in input.a", {"a"}),
        ("x if every y in input.a { y == input.b }", {"a", "b"}),
        ("x := [y | y := input.a]", {"a"}),
        ("x := {y: 1 | y := input.a}", {"a"}),
        ("x contains input.a", {"a"}),
        ("x[input.a] := input.b", {"a", "b"}),
        ("x := 1 if input.a else := input.b if input.c", {"a", "b", "c"}),
        ("default x := 1\nx := 2 if not input.a", {"a"}),
        ("x := count(input.a)", {"a"}),
        ("x := f(input.a)\nf(y) := y.b", {"a"}),
        ("x := f(1)\nf(y) := input.c", {"c"}),
        ("x := f(input)\nf(y) := y.b", None),
        ("x := y\ny := z\nz := input.a", {"a"}),
        ("x := data.a.y\ny := input.a", {"a"}),
        ('x := data["a"].y\ny := input.a', {"a"}),
        ("x := data.a[input.k]\ny := input.a", {"a", "k"}),
        ("x := data[input.k]\ny := input.a", {"a", "deep", "k"}),
        ("x if y with input.a as 1\ny if input.b", {"a", "b"}),
        ("x if y with input as {}\ny if input.b", None),
        ("x if f(1) with f as g\nf(y) := 1\ng(y) := input.b", {"b"}),
        ("x if walk(input.a, [_, v])", {"a"}),
        ("import input.a as m\nx := m.b", {"a.b"}),
        ("import input as m\nx := m.b", {"b"}),
        ("import data.b\nx := b.y", {"deep"}),
        ("import data.b as other\nx := other.y", {"deep"}),
    ],
)
def test_input_fields_are_found(rules: str, expected: set[str] | None) -> None:
    """Every way to reach a field is followed."""
    assert read(rules, "package b\ny := input.deep") == expected


def test_only_what_the_entry_reaches_is_counted() -> None:
    """A rule that nothing uses does not widen the key."""
    assert read("x := input.a\ny := input.b") == {"a"}


def test_a_rule_in_several_files_is_followed_in_all() -> None:
    """A package may be spread over files."""
    assert read("x contains input.a", "package a\nx contains input.b") == {"a", "b"}


def test_volatile_functions_are_found_however_they_are_reached() -> None:
    """In a helper, and as a stand-in for another function."""
    for rules in (
        "x := f(1)\nf(y) := time.now_ns()",
        'x if { rand.intn("a", 3) == 1 }',
        "x if { count([1]) with count as uuid.rfc4122 }",
    ):
        engine = Engine([Source("a.rego", f"package a\n{rules}")], "{}")
        found = dependencies(engine.program, "data.a.x", engine.builtins)
        assert len(found.volatile) == 1, rules


def test_data_and_functions_are_listed() -> None:
    """What an operator wants to know beside the input."""
    text = "package a\nx := count(data.roles[input.r].list)\ny := upper(data.other)"
    engine = Engine([Source("a.rego", text)], "{}")
    found = dependencies(engine.program, "data.a.x", engine.builtins)
    assert found.data == {("roles",)}
    assert found.builtins == {"count"}
    assert not found.volatile


@pytest.mark.parametrize("tree", ["[{}]", "1", "{", '[{"ast": {}, "source": {}}]'])
def test_a_syntax_tree_of_another_shape_is_refused(tree: str) -> None:
    """An engine that changed its tree stops the load instead of narrowing a key."""
    with pytest.raises(PolicyLoadError, match="syntax tree"):
        parse(tree)
