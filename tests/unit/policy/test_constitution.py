"""Constitutions: their hash, and every way a document can be refused."""

import hashlib
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given, strategies as st

from bus.core.errors import ConstitutionError
from bus.core.limits import (
    CONSTITUTION_BYTES_MAX,
    PRINCIPLE_CHARS_MAX,
    PRINCIPLES_MAX,
    TOML_DOTS_PER_LINE_MAX,
)
from policy import constitution
from policy.constitution import Constitution, Principle

HEAD = 'name = "Test"\nversion = "1.0.0"\n'
ONE = '[[principle]]\nid = "consent"\ntext = "Ask first."\nseverity = "high"\n'
VALID = HEAD + ONE
PINNED = HEAD + 'identifier = "00112233aabbccdd"\n' + ONE


def reference_hash(text: str) -> str:
    """Compute a document's hash as anyone would by the rule, apart from the code."""
    document = tomllib.loads(text)
    document.pop("identifier", None)
    return hashlib.sha256(rfc8785.dumps(document)).hexdigest()[:16]


def test_a_document_is_read() -> None:
    """Every key arrives where it belongs."""
    assert constitution.parse(VALID) == Constitution(
        name="Test",
        version="1.0.0",
        principles=(Principle(id="consent", text="Ask first.", severity="high"),),
    )


def test_the_hash_is_that_of_the_canonical_json() -> None:
    """Anyone with a TOML parser, RFC 8785 and SHA-256 gets the same 16 digits."""
    assert constitution.parse(VALID).hash == reference_hash(VALID)


def test_a_known_document_has_a_known_hash() -> None:
    """The hash does not move between releases: messages out there carry it."""
    canonical = (
        '{"name":"Test","principle":[{"id":"consent","severity":"high",'
        '"text":"Ask first."}],"version":"1.0.0"}'
    )
    expected = hashlib.sha256(canonical.encode()).hexdigest()[:16]
    assert constitution.parse(VALID).hash == expected == "5db18fc459dfcd12"


def test_a_pinned_identifier_is_the_hash() -> None:
    """The content's own hash stays to be had, and the pin is not part of it."""
    made = constitution.parse(PINNED)
    assert made.hash == "00112233aabbccdd"
    assert made.content_hash == reference_hash(PINNED) == reference_hash(VALID)


@pytest.mark.parametrize(
    "other",
    [
        VALID.replace("Test", "Tests"),
        VALID.replace("1.0.0", "1.0.1"),
        VALID.replace("Ask", "ask"),
        VALID.replace('"high"', '"low"'),
        VALID.replace('"consent"', '"consents"'),
        VALID + ONE.replace("consent", "second"),
    ],
)
def test_any_change_of_content_changes_the_hash(other: str) -> None:
    """Name, version and every key of every principle are covered."""
    assert constitution.parse(other).hash != constitution.parse(VALID).hash


def test_how_a_document_is_written_does_not_change_the_hash() -> None:
    """Comments, order of keys and quoting are not content."""
    other = (
        "# a comment\nversion = \"1.0.0\"\nname = 'Test'\n"
        'principle = [{severity = "high", id = "consent", text = """Ask first."""}]'
    )
    assert constitution.parse(other).hash == constitution.parse(VALID).hash


def test_the_order_of_principles_is_content() -> None:
    """Two documents with the same principles in another order differ."""
    second = ONE.replace("consent", "second")
    one, two = HEAD + ONE + second, HEAD + second + ONE
    assert constitution.parse(one).hash != constitution.parse(two).hash


def test_the_built_in_constitution_pins_the_known_hash() -> None:
    """Its users know this value, and it names principles a person can read."""
    built_in = constitution.BUILT_IN
    assert built_in.hash == "cdd01ef066bc6cf2"
    assert built_in is constitution.BUILT_IN
    assert {p.id for p in built_in.principles} >= {
        "accountability",
        "bounded-autonomy",
        "consent",
        "honest-records",
        "identity",
        "reversibility",
        "tenancy",
    }


def test_importing_reads_no_file() -> None:
    """The built-in constitution is read when it is first asked for."""
    program = "import policy.constitution as c; print('BUILT_IN' in vars(c))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_an_unknown_name_of_the_module_is_an_attribute_error() -> None:
    """Only `BUILT_IN` is made on demand."""
    module: Any = constitution
    with pytest.raises(AttributeError, match="BUILTIN"):
        _ = module.BUILTIN


REFUSED = [
    ("", "missing required field `name`"),
    (ONE, "missing required field `name`"),
    (HEAD, "missing required field `principle`"),
    (HEAD + "principle = []", "principle: .* needed: 1 to 1000"),
    (HEAD + "principle = 7", "principle: Expected `array`"),
    (HEAD + "principle = [7]", r"principle\[0\]: Expected `object`"),
    (HEAD + "[principle]\nid = 'a'", "principle: Expected `array`"),
    (VALID.replace("name =", "nmae ="), "unknown key 'nmae'; did you mean 'name'"),
    (VALID.replace("severity", "sevrity"), r"principle\[0\].*did you mean 'severity'"),
    (HEAD + "[[principles]]\n" + ONE[14:], "did you mean 'principle'"),
    (HEAD + "zzz = 1\n" + ONE, "unknown key 'zzz'; known are name, version"),
    (VALID.replace('"high"', '"grave"'), r"\[0\].severity: .*low, medium, high or"),
    (VALID.replace('"Ask first."', '""'), r"\[0\].text: .* needed: 1 to 10000"),
    (VALID.replace('"consent"', '"Con sent"'), r"\[0\].id: .* needed: up to 64"),
    (VALID.replace('"consent"', '"a\\n"'), r"\[0\].id: .* needed: up to 64"),
    (VALID.replace('"Test"', '""'), "name: .* needed: up to 128 printable"),
    (VALID.replace('"Test"', '"\\u001b[31m"'), "name: .* needed: up to 128 printable"),
    (VALID.replace('"Test"', "2020-01-01"), "name: Expected `str`, got `date`"),
    (VALID.replace('"1.0.0"', "1.0"), "version: Expected `str`, got `float`"),
    (PINNED.replace("aabb", "AABB"), "identifier: .* needed: 16 digits"),
    (PINNED.replace("aabb", "aab"), "identifier: .* needed: 16 digits"),
    (PINNED.replace("ccdd", "ccdd\\n"), "identifier: .* needed: 16 digits"),
    (VALID + ONE, "two principles have the id 'consent'; rename one"),
    ('name = "a"\nname = "b"\n', "Cannot overwrite a value"),
    (VALID + 'id = "again"', "Cannot overwrite a value"),
    ("name = ", "Invalid value"),
    ("x = " + "[" * 50_000, "nested too deep"),
    ("x = " + "{a = " * 50_000, "nested too deep"),
    ("x = 9" + "9" * 5_000, "a value cannot be read"),
    ("\n" + "a." * 65 + "a = 1", "line 2: more than 64 dots; break the line up"),
    ("#" * (CONSTITUTION_BYTES_MAX + 1), "1048577 bytes; 1048576 are allowed"),
    ("# \ud800", "a character that UTF-8 cannot encode"),
]


@pytest.mark.parametrize(("text", "reason"), REFUSED, ids=range(len(REFUSED)))
def test_a_faulty_document_is_refused_with_what_to_do(text: str, reason: str) -> None:
    """Each fault names its place and what is needed there."""
    with pytest.raises(ConstitutionError, match=reason):
        constitution.parse(text)


def test_a_document_at_every_bound_is_taken() -> None:
    """The bounds themselves are allowed."""
    blocks = [ONE.replace("consent", f"p{n}") for n in range(PRINCIPLES_MAX - 1)]
    longest = "x" * (PRINCIPLE_CHARS_MAX - TOML_DOTS_PER_LINE_MAX)
    long = ONE.replace("Ask first.", longest + "." * TOML_DOTS_PER_LINE_MAX)
    text = HEAD + "".join(blocks) + long
    padded = text + "#" * (CONSTITUTION_BYTES_MAX - len(text))
    assert len(constitution.parse(padded).principles) == PRINCIPLES_MAX
    with pytest.raises(ConstitutionError, match="needed: 1 to 1000"):
        constitution.parse(text + ONE.replace("consent", "last"))


def test_a_file_is_read(tmp_path: Path) -> None:
    """A constitution in a file is the same as in a string."""
    path = tmp_path / "mine.toml"
    path.write_text(VALID, encoding="utf-8")
    assert constitution.load(path) == constitution.parse(VALID)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name = '\xff\xfe'", "byte 8 is not UTF-8; save the file as UTF-8"),
        (VALID.encode("utf-16"), "not UTF-8"),
        (b"\xef\xbb\xbf" + VALID.encode(), "Invalid statement"),
        (b"#" * (CONSTITUTION_BYTES_MAX + 5), "bytes; 1048576 are allowed"),
        (b"nam = 1", "did you mean 'name'"),
    ],
)
def test_a_faulty_file_is_refused_by_its_name(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    """The operator learns which file, and what to do."""
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(ConstitutionError, match=reason) as caught:
        constitution.load(path)
    assert "mine.toml" in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused_by_its_name(tmp_path: Path) -> None:
    """Missing files, folders and impossible names are configuration errors."""
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / "a\0b"):
        with pytest.raises(ConstitutionError, match="constitution '"):
            constitution.load(path)
    assert list(tmp_path.iterdir()) == []


_keys = st.sampled_from(
    ["name", "version", "identifier", "principle", "id", "text", "a"]
)
_values = st.sampled_from(
    ['"x"', '""', "1", "1.5", "true", "[]", "{}", "2020-01-01", ""]
)
_lines = st.one_of(
    st.builds("{} = {}".format, _keys, _values),
    st.builds("[[{}]]".format, _keys),
    st.builds("[{}]".format, _keys),
    st.text(max_size=20),
)


@given(st.lists(_lines, max_size=12).map("\n".join))
@example("a = 00:00:99")
@example("a = 1e9999")
@example("a = nan")
@example("[a]\na.b = 1\n[a.b]")
def test_any_text_is_a_constitution_or_a_typed_error(text: str) -> None:
    """Fuzzed documents raise nothing else."""
    try:
        made = constitution.parse(text)
    except ConstitutionError:
        return
    assert made.hash == (made.identifier or reference_hash(text))


@given(st.binary(max_size=60), st.integers(0, len(VALID)), st.integers(0, 5))
def test_a_damaged_document_is_another_constitution_or_a_typed_error(
    more: bytes, at: int, gone: int
) -> None:
    """Bytes put in or taken out never give an unhandled exception or a wrong hash."""
    text = (VALID.encode()[:at] + more + VALID.encode()[at + gone :]).decode("latin-1")
    try:
        made = constitution.parse(text)
    except ConstitutionError:
        return
    assert made.hash == (made.identifier or reference_hash(text))


@given(
    st.text(min_size=1, max_size=50).filter(lambda t: t.isprintable()),
    st.sampled_from(["low", "medium", "high", "critical"]),
)
def test_any_printable_text_is_hashed_as_the_rule_says(
    text: str, severity: str
) -> None:
    """Canonical JSON handles every script."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    document = ONE.replace("Ask first.", quoted).replace("high", severity)
    assert constitution.parse(HEAD + document).hash == reference_hash(HEAD + document)
