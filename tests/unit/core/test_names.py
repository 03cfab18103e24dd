"""Names of tenants, agents and queue groups."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from bus.core import names
from bus.core.errors import MalformedMessageError
from bus.core.limits import NAME_BYTES_MAX, TENANT_CHARS_MAX


@pytest.mark.parametrize("name", ["abc", "a-b_c", "0_0", "a" * TENANT_CHARS_MAX])
def test_a_tenant_id_of_the_vocabulary_is_taken(name: str) -> None:
    """3 to 64 of a-z, 0-9, `_` and `-`."""
    assert names.check_tenant(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * (TENANT_CHARS_MAX + 1),
        "Acme",
        "a.b",
        "ab c",
        "abc\n",
        "\u0430bc",
    ],
)
def test_any_other_tenant_id_is_refused(name: str) -> None:
    """Upper case, dots, line ends and look-alikes are no tenant."""
    with pytest.raises(MalformedMessageError, match="tenant"):
        names.check_tenant(name)


@pytest.mark.parametrize(
    "name", ["a", "A_1", "_x", "9", "a:b@c-d", "a" * NAME_BYTES_MAX]
)
def test_an_agent_name_is_taken(name: str) -> None:
    """Letters, digits, `_`, `-`, `:` and `@`, starting with no mark."""
    assert names.check_name("agent", name) == name


@pytest.mark.parametrize(
    "name",
    ["", "-a", ":a", "@a", "a.b", "a b", "a\n", "a" * (NAME_BYTES_MAX + 1), "\u00e9"],
)
def test_any_other_name_is_refused_by_its_kind(name: str) -> None:
    """The error says whose name it is."""
    with pytest.raises(MalformedMessageError, match="queue group"):
        names.check_name("queue group", name)


def test_nobody_can_take_the_name_of_the_bus() -> None:
    """The bus's own agent has a name that the grammar refuses."""
    with pytest.raises(MalformedMessageError):
        names.check_name("agent", names.SYSTEM_AGENT)


@pytest.mark.parametrize("odd", [None, 7, b"abc", ["abc"]])
def test_what_is_no_string_is_no_name(odd: Any) -> None:
    """A wrong type is a typed error too."""
    with pytest.raises(MalformedMessageError, match="a string, not"):
        names.check_tenant(odd)
    with pytest.raises(MalformedMessageError, match="agent: a string, not"):
        names.check_name("agent", odd)


@given(st.text(max_size=140))
def test_any_text_is_a_name_or_a_typed_error(text: str) -> None:
    """What is taken can stand in a subject and in a log line as it is."""
    try:
        names.check_name("agent", text)
    except MalformedMessageError:
        return
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set(" .*>$")
