"""Data as slices says what the data said, in slices that are short."""

import hashlib
import json
import pickle
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_NESTING_MAX
from bus.core.policylimits import POLICY_SLICE_BYTES, POLICY_SLICE_VALUES
from policy import slicing
from policy.bundle import Bundle
from policy.engine import Engine, loading
from policy.pacing import exhaust
from policy.sliced import SlicedData, keys, parts, reaches, written
from policy.source import Source

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('ab\u00e9"\\\n', max_size=3), inner, max_size=4)
    ),
    max_leaves=30,
)
OBJECTS = st.dictionaries(st.text('abc\u00e9"\n', max_size=3), VALUES, max_size=5)
RULES = (Source("a.rego", "package rules\n\nx := 1\n"),)
LARGE: dict[str, Any] = {
    "agents": {f"a{n:05d}": {"tenant": "acme", "n": n} for n in range(20_000)},
    "deep": {"er": {"still": {str(n): [n, {"k": "v"}] for n in range(5_000)}}},
    "list": list(range(20_000)),
    "zero": {},
    "é": "x" * (3 * POLICY_SLICE_BYTES),
}
QUICK = settings(max_examples=60, deadline=None)


def whole(data: Any) -> str:
    """Return the text that data always had, keys in order."""
    return msgspec.json.encode(data, order="deterministic").decode()


def text(data: SlicedData) -> str:
    """Return what the slices say together."""
    return "".join(written(data.slices))


def small(monkeypatch: pytest.MonkeyPatch, size: int = 8) -> None:
    """Cut everything as small as can be."""
    monkeypatch.setattr(slicing, "_WINDOW_CHARS", size)
    monkeypatch.setattr(slicing, "POLICY_SLICE_BYTES", size)
    monkeypatch.setattr("policy.values.POLICY_SLICE_VALUES", 2)
    monkeypatch.setattr(slicing, "_SORTED_AT_ONCE", 2)


@given(data=OBJECTS)
@QUICK
def test_slices_say_what_the_data_said(data: dict[str, Any]) -> None:
    """However small they are, from objects and from text, spaced out or not."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        made = [
            slicing.of_mapping("d", data),
            slicing.of_json("d", json.dumps(data)),
            slicing.of_json("d", f" \n{json.dumps(data, indent=2)}\r\n\t"),
        ]
    for one in made:
        assert text(one) == whole(data)
        assert dict(one) == data
        assert len(one) == len(data)
        assert all(name in one and one[name] == data[name] for name in data)
        assert pickle.loads(pickle.dumps(one)) == data  # noqa: S301 - made here


@given(data=OBJECTS)
@QUICK
def test_the_engine_reads_slices_as_it_reads_the_text(data: dict[str, Any]) -> None:
    """Added one after the other they are the same data."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        cut = slicing.of_mapping("d", {"d": data})
    asked = exhaust(loading(RULES, cut)).query("data.d", "{}")
    assert asked == Engine(RULES, whole({"d": data})).query("data.d", "{}")


@pytest.mark.parametrize("source", ["mapping", "json"])
def test_slices_are_short(source: str) -> None:
    """Only a single member that is no object may be longer."""
    if source == "json":
        cut = slicing.of_json("d", json.dumps(LARGE))
    else:
        cut = slicing.of_mapping("d", LARGE)
    assert text(cut) == whole(LARGE)
    long = [part for part in cut.slices if len(part.members) > 1.1 * POLICY_SLICE_BYTES]
    assert {part.first for part in long} == {"list", "é"}
    assert all(part.first == part.last for part in long)
    assert max(len(part.values()) for part in cut.slices) < POLICY_SLICE_VALUES
    assert sum(1 for part in cut.slices if part.path == ("agents",)) > 20


def test_the_engine_is_given_one_slice_in_a_step() -> None:
    """Counted: there is a step for each."""
    cut = slicing.of_mapping("d", LARGE)
    assert sum(1 for _ in loading(RULES, cut)) >= len(cut.slices) > 40


@given(data=OBJECTS)
@QUICK
def test_the_digest_is_that_of_the_whole(data: dict[str, Any]) -> None:
    """Hashed in parts or not; a revision does not depend on how data was read."""
    files = sorted((file.name, file.text) for file in RULES)
    expected = hashlib.sha256(msgspec.msgpack.encode((files, whole(data)))).hexdigest()
    assert Bundle(RULES, data, "d", built_in=False).digest == expected
    cut = slicing.of_json("d", json.dumps(data))
    assert Bundle(RULES, cut, "d", built_in=False).digest == expected


@pytest.mark.parametrize("size", [0, 29, 30, 250, 253, 254, 65_500, 65_534, 70_000])
def test_the_digest_of_a_text_of_any_length_is_that_of_the_whole(size: int) -> None:
    """MessagePack writes the length in four ways."""
    data = {"": "x" * max(size - 5, 0)} if size else {}
    files = sorted((file.name, file.text) for file in RULES)
    expected = hashlib.sha256(msgspec.msgpack.encode((files, whole(data)))).hexdigest()
    assert Bundle(RULES, data, "d", built_in=False).digest == expected


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "{",
        '{"a"',
        '{"a" 1}',
        '{"a":}',
        '{"a":1',
        '{"a":1 "b":2}',
        '{"a":[1,}',
        '{"a":tru}',
        '{"a":1}x',
        '{"a":"\n"}',
        '{"a":"\\x"}',
        '{"a":1,\n"b":{"c":[1,2,3,4,5,6,7,8,9,},\n"d":1}',
        '{\n"b":"a long text that no window holds, and no end',
        "[1, 2",
        "nothing",
    ],
)
def test_what_is_no_json_is_refused_at_the_same_line(
    monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    """As the standard library says it, whatever the size of a window."""
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(wrong)
    for size in (3, 8, 1_000):
        small(monkeypatch, size)
        with pytest.raises(PolicyLoadError) as error:
            slicing.of_json("d.json", wrong)
        assert error.value.line == expected.value.lineno
        assert error.value.reason == expected.value.msg


def test_a_comma_too_many_is_refused() -> None:
    """Python's own words for it differ from version to version."""
    with pytest.raises(PolicyLoadError, match="property name") as error:
        slicing.of_json("d.json", '{"a":1,\n}')
    assert error.value.line == 2


@pytest.mark.parametrize(
    "number", ["1234567890123456", "-1.5e300", "0.30000000000000004"]
)
def test_a_number_is_not_cut(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    """The beginning of a number is a number as well."""
    small(monkeypatch, 4)
    assert dict(slicing.of_json("d", f'{{"a":{number}}}')) == {"a": json.loads(number)}


@pytest.mark.parametrize("size", [8, 10_000])
def test_a_key_twice_is_refused_in_large_and_small_objects(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """At the top, below it, and where a window ends between the two."""
    small(monkeypatch, size)
    for wrong in (
        '{"a":1,"a":2}',
        '{"o":{"k":"some words","b":1,"k":{"c":"more words"}}}',
        '{"o":{"k":{"c":"more words"},"k":1}}',
    ):
        with pytest.raises(PolicyLoadError, match="stands twice"):
            slicing.of_json("d", wrong)


def test_depth_is_the_same_bound_for_text_and_objects(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whether a value is cut or not."""
    for size in (8, 10_000):
        small(monkeypatch, size)
        for depth in (POLICY_NESTING_MAX - 1, POLICY_NESTING_MAX):
            data: Any = 1
            for _ in range(depth):
                data = {"a": data}
            if depth < POLICY_NESTING_MAX:
                assert text(slicing.of_mapping("d", data)) == whole(data)
                assert text(slicing.of_json("d", whole(data))) == whole(data)
                continue
            with pytest.raises(PolicyLoadError, match="nested deeper"):
                slicing.of_mapping("d", data)
            with pytest.raises(PolicyLoadError, match="nested deeper"):
                slicing.of_json("d", whole(data))


def test_a_section_is_had_in_parts_that_are_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where one of its members was cut itself."""
    data = {"s": {f"k{n}": {str(i): [i] for i in range(n)} for n in range(9)}, "t": 5}
    small(monkeypatch)
    for found in (slicing.of_mapping("d", data), data):
        together: dict[str, Any] = {}
        for part in parts(found, "s"):
            assert not together.keys() & part.keys()
            together |= part
        assert together == data["s"]
        assert list(parts(found, "t")) == [5]
        assert set(keys(found, "s")) == set(together)
        assert keys(found, "u") == {}


@given(data=OBJECTS, path=st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1))
@QUICK
def test_where_data_stands_is_told_alike(data: dict[str, Any], path: list[str]) -> None:
    """From slices and from objects; it is what keeps data off a package."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        cut = slicing.of_mapping("d", data)
    assert reaches(cut, tuple(path)) == reaches(data, tuple(path))


def test_sections_of_two_are_joined_in_order() -> None:
    """What an area brings along stands where it belongs."""
    more = {"b": {"x": 1}, "zz": 2}
    made = slicing.joined(slicing.of_mapping("d", LARGE), slicing.of_mapping("d", more))
    assert text(made) == whole({**LARGE, **more})
    assert list(made) == sorted({**LARGE, **more})
