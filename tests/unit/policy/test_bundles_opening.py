"""Files become a bundle; roots are kept, and one fault refuses all of it."""

from typing import Any

import msgspec
import pytest

from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_FILES_MAX
from bus.core.policylimits import BUNDLE_ROOTS_MAX, BUNDLES_MAX
from policy import loading
from policy.bundles import manifest, opening
from policy.bundles.archive import Entry
from policy.bundles.manifest import Manifest
from policy.source import Source
from tests.fakes import bundles
from tests.fakes.bundles import AGENTS, AUTHZ, GOOD, packed


def refusal(*entries: Entry) -> str:
    """Return why a bundle of these files is refused."""
    with pytest.raises(PolicyLoadError) as error:
        opening.read_archive(packed(*entries))
    return str(error.value)


def test_a_bundle_becomes_a_policy_that_decides() -> None:
    """What is read is what `policy.loading` builds from."""
    opened = opening.read_archive(packed())
    policy = loading.build(opened.bundle)
    assert policy.revision == opened.bundle.revision == opened.bundle.digest[:16]
    assert opened.bundle.declared == opened.manifest.revision == "r1"
    assert set(policy.agents) == {"planner"}
    assert opened.signature is None


def test_two_contents_that_declare_one_revision_have_two() -> None:
    """Guard: what a bundle calls itself never names what is in force."""
    more = Entry("authz.rego", AUTHZ.content + b"# more\n")
    one, other = (opening.read_archive(packed(e, *GOOD[1:])) for e in (AUTHZ, more))
    assert one.bundle.declared == other.bundle.declared
    assert one.bundle.revision != other.bundle.revision


def test_data_goes_where_its_folder_says() -> None:
    """JSON and YAML, at the top and nested, objects of several files as one."""
    opened = opening.read_archive(
        packed(
            Entry("data.json", b'{"a": {"x": 1}}'),
            Entry("a/data.yaml", b"w: 2\n"),
            Entry("a/z/data.yml", b"[3]\n"),
        )
    )
    assert opened.bundle.data == {"a": {"x": 1, "w": 2, "z": [3]}}


def test_tests_and_other_files_are_no_part_of_it() -> None:
    """They are named, so that nobody takes them for something that counts."""
    extra = (Entry("a_test.rego", b"package a\n"), Entry("README", b"hi"))
    opened = opening.read_archive(packed(AUTHZ, AGENTS, *extra))
    assert [source.name for source in opened.bundle.sources] == ["authz.rego"]
    assert opened.ignored == ("README", "a_test.rego")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ((Entry("data.json", b"[1]"),), "data.json: data is an object at the top"),
        (
            (Entry("data.json", b'{"a": 1}'), Entry("a/data.json", b"{}")),
            "data at /a is there already",
        ),
        (
            (Entry("data.json", b'{"a": 1}'), Entry("data.yaml", b"a: 1\n")),
            "data at /a is there already",
        ),
        ((Entry("data.json", b'{"a": 1, "a": 2}'),), "stands twice"),
        ((Entry("data.json", b'{"a": %d}' % (1 << 64)),), "more than 64 bits"),
        ((Entry("x.rego", b"\xffpackage x"),), "x.rego:1: not UTF-8"),
        ((Entry("x.rego", b"p := 1\n"),), "x.rego:1: does not begin with a package"),
    ],
)
def test_files_that_are_wrong_are_refused_by_name(
    entries: tuple[Entry, ...], said: str
) -> None:
    """The file and the reason."""
    assert said in refusal(*entries)


def test_too_many_files_are_refused() -> None:
    """Guard: the bound of the engine, before the engine."""
    many = [Entry(f"f{n}.rego", b"package f\n") for n in range(POLICY_FILES_MAX + 1)]
    assert "policy files" in refusal(*many)


def test_the_archive_is_named_before_the_file_in_it() -> None:
    """So that an error can be acted on."""
    with pytest.raises(PolicyLoadError, match=r"^b\.tgz: x\.rego:1: does not begin"):
        opening.read_archive(packed(Entry("x.rego", b"")), name="b.tgz")
    with pytest.raises(PolicyLoadError, match=r"^b\.tgz: the gzip file is cut off"):
        opening.read_archive(b"", name="b.tgz")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"revision": 7}, "revision: Expected `str`"),
        ({"revision": None}, "revision: Expected `str`"),
        ({"revision": "x" * 257}, "revision: Expected `str` of length <= 256"),
        ({"revision": "a\nb"}, "revision: has a control character"),
        ({"roots": "a"}, "roots: Expected `array`"),
        ({"roots": [1]}, "roots"),
        ({"roots": ["a"] * (BUNDLE_ROOTS_MAX + 1)}, "roots"),
        ({"roots": ["a//b"]}, "'a//b' is no path"),
        ({"roots": ["../a"]}, "'../a' is no path"),
        ({"roots": ["a", "b", "a/c"]}, "roots overlap: 'a' of .manifest and 'a/c'"),
        ({"roots": ["a", "/a/"]}, "roots overlap: 'a' of .manifest and 'a'"),
        ({"roots": ["", "a"]}, "roots overlap: ''"),
        ({"rego_version": 0}, "rego_version: only 1"),
        ({"file_rego_versions": {"/a.rego": 0}}, "rego_version: only 1"),
        ({"wasm": [{"entrypoint": "a", "module": "/policy.wasm"}]}, "WebAssembly"),
        ({"Roots": ["a"]}, "unknown field 'Roots'"),
        ({"metadata": []}, "metadata"),
    ],
)
def test_a_manifest_that_cannot_be_honoured_is_refused(
    fields: dict[str, Any], said: str
) -> None:
    """Each field by its name."""
    found = refusal(AUTHZ, bundles.manifest(**fields))
    assert said in found
    assert found.startswith((".manifest: ", "roots overlap"))


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}{}", b'{"roots": ["a"], "roots": []}']
)
def test_a_manifest_that_is_none_is_refused(content: bytes) -> None:
    """Guard: it is not left out, which would give the bundle everything."""
    assert refusal(AUTHZ, Entry(".manifest", content)).startswith(".manifest:")


def test_what_opa_writes_into_a_manifest_is_taken() -> None:
    """All of its fields, and none of them."""
    fields = {"revision": "r", "roots": ["/assent/", "agents"], "rego_version": 1}
    more = {"file_rego_versions": {"/a.rego": 1}, "metadata": {"by": "ci"}, "wasm": []}
    made = bundles.manifest(**fields, **more)
    opened = opening.read_archive(packed(AUTHZ, AGENTS, made))
    assert opened.manifest.owned == (("assent",), ("agents",))
    assert opened.manifest.metadata == {"by": "ci"}
    assert opening.read_archive(packed(AUTHZ)).manifest == Manifest()


@pytest.mark.parametrize(
    "root", ["assent/authz/decision", "assent/auth", "other", "agents"]
)
def test_a_package_outside_the_roots_is_refused(root: str) -> None:
    """Guard: a bundle says what it may, and where."""
    roots = bundles.manifest(roots=[root])
    said = "authz.rego: package assent/authz is outside the roots"
    assert said in refusal(AUTHZ, roots)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b'{"b": 1}', "'b'"),
        (b'{"a": {"c": 1}}', "'a/c'"),
        (b'{"a": 1}', "'a'"),
        (b'{"a": {"b": 1, "d": {}}}', "'a/d'"),
    ],
)
def test_data_outside_the_roots_is_refused(data: bytes, where: str) -> None:
    """Guard: an object above a root may have nothing else in it."""
    roots = bundles.manifest(roots=["a/b"])
    assert f"data at {where} is outside" in refusal(Entry("data.json", data), roots)
    opening.read_archive(packed(Entry("data.json", b'{"a": {"b": [1]}}'), roots))


def test_a_bundle_without_roots_may_say_nothing() -> None:
    """An empty list is not the same as none."""
    assert "outside the roots" in refusal(AUTHZ, bundles.manifest(roots=[]))


@pytest.mark.parametrize(
    ("text", "package"),
    [
        ("package a", ("a",)),
        (
            "# package x\n\n  # more\npackage a.b_1 # why\nimport rego.v1\n",
            ("a", "b_1"),
        ),
        ('package a["b.c"].d\n', ("a", "b.c", "d")),
        ("\r\npackage a\r\np := 1\r\n", ("a",)),
    ],
)
def test_the_package_of_a_file_is_found(text: str, package: tuple[str, ...]) -> None:
    """In each form that OPA writes."""
    assert manifest.package_of(Source("x.rego", text)) == package


def one(name: str, root: str, data: object) -> tuple[str, opening.Opened]:
    """Return a named bundle of data."""
    entries = (
        Entry("data.json", msgspec.json.encode(data)),
        bundles.manifest(roots=[root], revision=name),
    )
    return name, opening.read_archive(packed(*entries))


def test_several_bundles_are_one_policy() -> None:
    """Each keeps to its roots; what they share above the roots grows together."""
    first = one("first", "a/x", {"a": {"x": 1}})
    second = one("second", "a/y", {"a": {"y": 2}})
    rules = (
        "rules",
        opening.read_archive(packed(AUTHZ, bundles.manifest(roots=["assent"]))),
    )
    whole = opening.combined([first, second, rules])
    assert whole.data == {"a": {"x": 1, "y": 2}}
    assert [source.name for source in whole.sources] == ["rules/authz.rego"]
    assert whole.declared == "first=first,second=second"
    assert first[1].bundle.data == {"a": {"x": 1}}


@pytest.mark.parametrize(
    ("first", "second"), [("a", "a"), ("a", "a/b"), ("a/b", "a"), ("", "a")]
)
def test_bundles_whose_roots_overlap_are_refused(first: str, second: str) -> None:
    """Guard: even where their contents do not meet."""
    with pytest.raises(
        PolicyLoadError,
        match=r"roots overlap.* of (one and .* of two|two and .* of one)",
    ):
        opening.combined([one("one", first, {}), one("two", second, {})])


def test_no_bundles_and_too_many_are_refused() -> None:
    """Guard: a policy of nothing is none."""
    with pytest.raises(PolicyLoadError, match="0 bundles"):
        opening.combined([])
    many = [one(f"b{n}", f"r{n}", {}) for n in range(BUNDLES_MAX + 1)]
    with pytest.raises(PolicyLoadError, match=f"{BUNDLES_MAX + 1} bundles"):
        opening.combined(many)
