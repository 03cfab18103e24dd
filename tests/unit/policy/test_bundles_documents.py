"""JSON and YAML of a bundle: one meaning each, and the form that is signed."""

import json

import pytest

from bus.core.errors import ConfigurationError, PolicyLoadError
from bus.core.limits import POLICY_NESTING_MAX
from bus.core.policylimits import BUNDLE_YAML_BYTES_MAX
from policy.bundles import documents, extra

JSON = "data.json"
YAML = "data.yaml"


def refusal(name: str, text: str | bytes) -> str:
    """Return why a document is refused."""
    content = text.encode() if isinstance(text, str) else text
    with pytest.raises(PolicyLoadError) as error:
        documents.parse(name, content)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ('{"b": 1, "a": [true, null, "x"]}', '{"a":[true,null,"x"],"b":1}'),
        ("[1.50, 1e3, -0, 12345678901234567890]", "[1.50,1e3,-0,12345678901234567890]"),
        ('"<&>\\u00e9/\\/\\u007f"', '"<&>é//\x7f"'),
        ('"\\u2028\\u2029"', '"\\u2028\\u2029"'),
        ('"\\b\\f\\n\\r\\t\\u0001\\"\\\\"', '"\\b\\f\\n\\r\\t\\u0001\\"\\\\"'),
        ('{"\U0001f600": 1, "\uffff": 2}', '{"\uffff":2,"\U0001f600":1}'),
        ("{}", "{}"),
    ],
)
def test_the_signed_form_is_that_of_opa(text: str, form: str) -> None:
    """Keys by code point, digits as they stand; tried against OPA in the interop tests."""
    assert documents.signed_form(JSON, text.encode()).decode() == form


def test_values_are_plain_ones() -> None:
    """What rules consult has no trace of how numbers were written."""
    found = documents.parse(JSON, b'{"a": [1.50, 2, null, "3"]}')
    assert found == {"a": [1.5, 2, None, "3"]}
    assert [type(value) for value in found["a"][:2]] == [float, int]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ("NaN", "NaN is not JSON"),
        ('"\\ud800"', "half a character"),
        ('{"\\ud800": 1}', "half a character"),
        ("[" * 100_000, "cannot be read"),
        (
            "[" * (POLICY_NESTING_MAX + 1) + "]" * (POLICY_NESTING_MAX + 1),
            "deeper than",
        ),
        ("9" * 5_000, "cannot be read"),
        ("\ufeff{}", "BOM"),
        ("{} {}", "Extra data"),
        ("", "Expecting value"),
        (b'"\xff"', "not UTF-8"),
    ],
)
def test_json_that_can_be_read_in_two_ways_is_refused(
    text: str | bytes, said: str
) -> None:
    """Guard: nothing is guessed, and nothing is too deep."""
    assert said in refusal(JSON, text)


def test_yaml_says_what_json_says() -> None:
    """Every kind of value, quoted texts and blocks."""
    text = """
# a comment
agents:
  a: {tenant: acme, roles: [x, "y"]}
none: ~
empty:
yes_no: [true, false, 'no']
numbers: [0, -7, 1.5, 1e3, 1.0e-2]
address: 10.0.0.1
version: v1.2.3
time: "12:30"
block: |
  two
  lines
folded: >-
  one
  line
"""
    assert documents.parse(YAML, text.encode()) == {
        "agents": {"a": {"tenant": "acme", "roles": ["x", "y"]}},
        "none": None,
        "empty": None,
        "yes_no": [True, False, "no"],
        "numbers": [0, -7, 1.5, 1000.0, 0.01],
        "address": "10.0.0.1",
        "version": "v1.2.3",
        "time": "12:30",
        "block": "two\nlines\n",
        "folded": "one line",
    }


def test_the_signed_form_of_yaml_is_that_of_its_json() -> None:
    """Numbers as Go writes them."""
    form = documents.signed_form(YAML, b"b: [1, 1.50, 1e3, 1e21, 1.0e-7]\na: x\n")
    assert form == b'{"a":"x","b":[1,1.5,1000,1e+21,1e-7]}'


@pytest.mark.parametrize(
    "word",
    [
        "yes",
        "No",
        "on",
        "OFF",
        "y",
        "N",
        "True",
        "NULL",
        "012",
        "089",
        "0x1F",
        "0o17",
        "0b1",
        "+1",
        "1_000",
        ".5",
        "1.",
        "12:30",
        "1:2:3.5",
        ".inf",
        "-.INF",
        ".NaN",
        "2001-01-01",
        "2001-1-1",
        "2001-01-01T00:00:00Z",
        "=",
        "<<",
    ],
)
def test_a_word_that_readers_of_yaml_disagree_on_is_to_be_quoted(word: str) -> None:
    """Guard: what Norway is must not depend on the engine."""
    assert "quote it" in refusal(YAML, f"a: {word}\n")
    assert documents.parse(YAML, f'a: "{word}"\n'.encode()) == {"a": word}
    assert refusal(YAML, f"a: {word}\n").startswith("data.yaml:1: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x\n", "anchors"),
        ("b: *x\n", "anchors"),
        ("a: &x 1\n", "anchors"),
        ("a: !!python/object/apply:os.system [ls]\n", "tag"),
        ("a: !!str 1\n", "tag"),
        ("a: ! 1\n", "tag"),
        ("a: 1\na: 2\n", "twice"),
        ("1: a\n", "no string"),
        ("[a]: b\n", "no string"),
        ("? {a: b}\n: c\n", "no string"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("%YAML 1.1\n---\na: 1\n", "directive"),
        ("", "empty"),
        ("a: [1\n", "expected"),
        ("a: 1e999\n", "cannot carry"),
        ("a: -0.0\n", "cannot carry"),
        ("a: -0\n", "cannot carry"),
        ("a: \x01\n", "special characters"),
        ("\tb: 1\n", "cannot start"),
        ("a: " + "[" * (POLICY_NESTING_MAX + 1), "deeper than"),
        ("- " * (POLICY_NESTING_MAX + 2) + "a\n", "deeper than"),
    ],
)
def test_yaml_that_grows_or_runs_or_misleads_is_refused(text: str, said: str) -> None:
    """Guard: none of what YAML can do beyond JSON."""
    assert said in refusal(YAML, text)


def test_a_billion_laughs_are_refused_at_the_first() -> None:
    """Guard: aliases are what lets a small text become a large value."""
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert refusal(YAML, "\n".join(lines)).startswith("data.yaml:1: anchors")


def test_yaml_is_bounded_in_length() -> None:
    """Guard: its parser is slow; JSON is for more."""
    assert "are allowed" in refusal(YAML, "a" * (BUNDLE_YAML_BYTES_MAX + 1))


def test_without_the_extra_the_error_says_how_to_get_it() -> None:
    """What is missing is named with the command that brings it."""
    with pytest.raises(ConfigurationError, match=r"pip install 'assent\[bundles\]'"):
        extra.needed("no_such_package", "signed bundles")


@pytest.mark.parametrize("name", [JSON, "a/data.json"])
def test_signed_form_and_value_agree(name: str) -> None:
    """The form is JSON itself, and says the same."""
    text = '{"z": {"y": [1.25, {"x": "\\u00fc"}]}, "a": false}'
    form = documents.signed_form(name, text.encode())
    assert json.loads(form) == documents.parse(name, text.encode()) == json.loads(text)
