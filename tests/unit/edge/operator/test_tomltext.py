"""Data as TOML: what is written reads back as it was."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bus.core.errors import MalformedMessageError
from bus.edge.operator.tomltext import written

_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), _VALUES, max_size=5))
def test_whatever_toml_can_carry_reads_back_the_same(data: dict[str, Any]) -> None:
    """Keys and texts of any kind, tables in tables and in lists."""
    assert tomllib.loads(written(data)) == data


def test_it_is_written_as_a_person_would() -> None:
    """Tables by name, and lists on a line."""
    text = written({"agents": {"planner": {"tenant": "acme", "roles": ["a"]}}, "n": 1})
    assert text == 'n = 1\n\n[agents.planner]\ntenant = "acme"\nroles = ["a"]\n'


@pytest.mark.parametrize("value", [None, [None], {"a": None}, float("nan"), "\ud800"])
def test_what_toml_has_not_is_refused(value: Any) -> None:
    """And nothing is written in its place."""
    with pytest.raises((MalformedMessageError, UnicodeEncodeError)):
        written({"key": value})
