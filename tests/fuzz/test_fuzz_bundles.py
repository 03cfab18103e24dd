"""Bundles from anywhere: read, or refused by name; never believed without a signature."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from bus.core.errors import PolicyLoadError
from policy.bundles import archive, documents, manifest, opening, paths
from policy.bundles.archive import Entry
from policy.engine import Engine
from policy.source import Source
from tests.fakes.bundles import member, packed, pair, signed, tarred

KEYS = pair()[1]
SIGNED = signed()
PLAIN = gzip.decompress(SIGNED)
MANY = settings(max_examples=300, deadline=None)
FEWER = settings(max_examples=60, deadline=None)

STEPS = st.text("abc.-_é~/\\ \n", max_size=12)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 53), 1 << 53)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda v: v != 0)
    | st.text(max_size=8)
)
TREES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


def taken(content: bytes, *, keys: bool = True) -> bool:
    """Tell whether a bundle is taken; anything but a refusal is a fault."""
    try:
        opening.read_archive(content, KEYS if keys else {})
    except PolicyLoadError:
        return False
    return True


def test_the_good_bundle_is_taken() -> None:
    """Without it nothing below would mean anything."""
    assert taken(SIGNED)
    assert taken(packed(), keys=False)


@MANY
@given(st.binary(max_size=2_000))
def test_random_bytes_are_refused(content: bytes) -> None:
    """Packed or not, no accident makes a bundle."""
    assert not taken(content, keys=False)
    assert not taken(gzip.compress(content), keys=False)


@MANY
@given(st.integers(0, len(PLAIN) - 1), st.integers(1, 255))
def test_a_changed_byte_changes_nothing_that_counts(place: int, change: int) -> None:
    """Guard: what is taken in spite of it says exactly what was signed."""
    broken = bytearray(PLAIN)
    broken[place] ^= change
    packed_again = gzip.compress(bytes(broken), compresslevel=1)
    try:
        found = opening.read_archive(packed_again, KEYS)
    except PolicyLoadError:
        return
    assert found.bundle.digest == opening.read_archive(SIGNED, KEYS).bundle.digest
    assert found.manifest == opening.read_archive(SIGNED, KEYS).manifest


@MANY
@given(STEPS)
def test_a_name_is_plain_or_refused(raw: str) -> None:
    """Guard: what passes is relative, has no odd step, and is its own normal form."""
    try:
        name = paths.normal(raw)
    except PolicyLoadError:
        return
    assert not name.startswith("/")
    assert not {"", ".", ".."} & set(name.split("/"))
    assert (
        paths.normal(name)
        == paths.normal("/" + name)
        == paths.normal("./" + name)
        == name
    )


@FEWER
@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=3), st.binary(max_size=600), max_size=5
    )
)
def test_every_archive_comes_back(files: dict[str, bytes]) -> None:
    """What is written is read, and so is what another program writes."""
    entries = tuple(Entry(name, files[name]) for name in sorted(files))
    assert archive.read(archive.write(entries)) == entries
    others = tarred(*((member(name), files[name]) for name in sorted(files)))
    assert archive.read(gzip.compress(others)) == entries


@MANY
@given(TREES)
def test_the_signed_form_says_the_same(tree: Any) -> None:
    """It is JSON of the same value, however it was written, and has one form."""
    text = json.dumps(tree).encode()
    form = documents.signed_form("data.json", text)
    assert json.loads(form) == json.loads(text)
    assert documents.signed_form("data.json", form) == form
    spaced = json.dumps(tree, indent=3, ensure_ascii=False).encode()
    assert documents.signed_form("data.json", spaced) == form


@FEWER
@given(TREES)
def test_json_is_read_alike_as_yaml_or_refused(tree: Any) -> None:
    """Guard: what YAML's reader takes, it takes for what JSON's does."""
    text = json.dumps(tree).encode()
    try:
        found = documents.parse("data.yaml", text)
    except PolicyLoadError:
        return
    assert found == documents.parse("data.json", text)


@MANY
@given(st.text("abc: -[]{}&*!|>\n'\"0.9~#%?<=,", max_size=60))
def test_random_yaml_is_read_or_refused(text: str) -> None:
    """Guard: never another error, and what is read is what JSON could say."""
    try:
        found = documents.parse("data.yaml", text.encode())
    except PolicyLoadError:
        return
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@FEWER
@given(st.text('abp_.["]# \n\tackge', max_size=30))
def test_the_package_is_the_one_that_the_engine_sees(rest: str) -> None:
    """Guard: no spelling makes a file claim one package and be in another."""
    file = Source("x.rego", f"package {rest}\n")
    try:
        claimed = manifest.package_of(file)
        seen = Engine([file], "{}").program.modules[0].package
    except PolicyLoadError:
        return
    assert ("data", *claimed) == tuple(seen)


def test_the_test_above_compares_something() -> None:
    """It would say nothing if every text were refused."""
    file = Source("x.rego", 'package a["b"].c # x\n')
    seen = Engine([file], "{}").program.modules[0].package
    assert ("data", *manifest.package_of(file)) == tuple(seen)
    with pytest.raises(PolicyLoadError):
        manifest.package_of(Source("x.rego", "package\n"))
