"""What a server says of its policy is believed only where it can be."""

import json
import sys
from typing import Any

import pytest

from bus.core.errors import ConfigurationError, PolicyLoadError, UsageError
from bus.core.limits import POLICY_FILES_MAX
from bus.core.policylimits import BUNDLE_REVISION_CHARS_MAX
from policy.evaluation import EvaluationError
from policy.opa import client
from policy.opa.address import ServerAddress
from policy.opa.admin import administer
from policy.opa.answers import joined
from policy.opa.client import open_http
from policy.opa.source import ServerPolicy, changed, read
from tests.fakes.hostile_server import Script, hostile, reply

REGO = "package assent.authz\n\ndecision := {} if data.roles[input.message.subject]\n"
AGENTS = {"a": {"tenant": "acme"}}


def told(result: Any = None) -> Script:
    """Return the reply with a document, or with none."""
    return [reply(b"{}" if result is None else json.dumps({"result": result}).encode())]


def bundles(revision: str = "r1", **more: Any) -> Script:
    """Return the reply with one bundle."""
    return told({"b": {"etag": "", "manifest": {"revision": revision, **more}}})


def policies(*texts: str) -> Script:
    """Return the reply with policies, trees included."""
    modules = [{"id": f"{n}.rego", "raw": t, "ast": {}} for n, t in enumerate(texts)]
    return told(modules)


async def read_from(*scripts: Script) -> ServerPolicy:
    """Read the policy of a server that answers in this order."""
    async with hostile(*scripts) as peer:
        http = await open_http(ServerAddress(url=peer.url))
        try:
            return await read(http)
        finally:
            await http.close()


async def owning(*roots: str) -> ServerPolicy:
    """Read the policy of a server whose bundle owns these roots."""
    found = bundles(roots=list(roots))
    return await read_from(found, policies(REGO), told(AGENTS), told({}), found)


@pytest.mark.parametrize(
    ("roots", "known"),
    [
        ([""], True),
        (["assent", "roles", "agents"], True),
        (["assent/authz", "/roles/", "agents"], True),
        (["assent/authz/decision", "roles", "agents"], False),
        (["assent", "agents"], False),
        (["assent", "roles"], False),
        (["roles", "agents"], False),
        ([], False),
    ],
)
async def test_a_revision_is_known_where_bundles_own_all_that_is_read(
    roots: list[str], *, known: bool
) -> None:
    """The rule's package, the data it reads, and the agents."""
    policy = await owning(*roots)
    assert policy.known is known
    assert (policy.revision == "r1") is known
    assert policy.dependencies.data == {("roles",)}


async def test_a_bundle_that_names_no_roots_owns_all() -> None:
    """As OPA reads a manifest."""
    found = bundles()
    policy = await read_from(found, policies(REGO), told(AGENTS), told({}), found)
    assert (policy.revision, policy.known) == ("r1", True)


async def test_a_bundle_without_a_revision_makes_none_known() -> None:
    """Nobody could see it change."""
    found = bundles("", roots=[""])
    policy = await read_from(found, policies(REGO), told(AGENTS), told({}), found)
    assert not policy.known
    assert policy.revision == policy.digest != ""


async def test_a_policy_that_cannot_be_read_here_may_read_anything() -> None:
    """Only a bundle that owns everything makes its revision known."""
    foreign = "package assent.authz\n\ndecision := io.jwt.decode(input.token)\n"
    for roots, known in ([""], True), (["assent", "agents"], False):
        found = bundles(roots=roots)
        policy = await read_from(found, policies(foreign), told(AGENTS), found)
        assert policy.known is known
        assert "io.jwt.decode" in policy.unread


@pytest.mark.parametrize("deep", ["[", '{"a":'])
async def test_a_tree_that_no_parser_should_follow_is_refused(deep: str) -> None:
    """Before it can do harm, and with a reason."""
    nested = f'{{"result":{deep * 100_000}'.encode()
    with pytest.raises(EvaluationError, match="not the JSON"):
        await read_from(told(), policies(REGO), [reply(nested)], told({}), told())


async def test_a_bundle_that_comes_while_it_is_read_is_read_anew() -> None:
    """Agents of one revision and rules of another are no policy."""
    with pytest.raises(EvaluationError, match="activated while") as failed:
        await read_from(
            bundles("r1"), policies(REGO), told(AGENTS), told({}), bundles("r2")
        )
    assert failed.value.kind == "unavailable"


@pytest.mark.parametrize(
    ("scripts", "kind"),
    [
        ([told([1])], "malformed"),
        ([told({"b": 7})], "malformed"),
        ([told(), told({"no": "list"})], "malformed"),
        ([told(), [reply(status="401 Unauthorized")]], "unavailable"),
        ([told(), [reply(b"x", content_type="text/plain")]], "malformed"),
        ([[reply(status="503 Unavailable")]], "unavailable"),
        ([told(), policies(REGO), [reply(status="503 Unavailable")]], "unavailable"),
    ],
)
async def test_what_cannot_be_read_is_an_error_of_its_kind(
    scripts: list[Script], kind: str
) -> None:
    """Nothing is assumed in its place."""
    with pytest.raises(EvaluationError) as failed:
        await read_from(*scripts)
    assert failed.value.kind == kind


@pytest.mark.parametrize(
    ("agents", "why"),
    [
        ([reply(b'{"result":{"a":{"tenant":"\xff"}}}')], "data of the OPA server"),
        (told({"a": {}}), "tenant"),
        (told({"no such name!": {"tenant": "acme"}}), "no such name"),
        (told(), "no data.agents"),
    ],
)
async def test_agents_that_are_not_valid_are_refused(agents: Script, why: str) -> None:
    """With the reason a file would be refused with."""
    with pytest.raises(PolicyLoadError, match=why):
        await read_from(told(), policies(REGO), agents, told({}), told())


async def test_too_many_policies_are_not_read_here() -> None:
    """Then every input counts and nothing is kept."""
    many = policies(*[REGO] * (POLICY_FILES_MAX + 1))
    policy = await read_from(told(), many, told(AGENTS), told())
    assert f"more than {POLICY_FILES_MAX}" in policy.unread
    assert policy.dependencies.input is None
    assert policy.dependencies.volatile


async def test_the_order_of_policies_changes_nothing() -> None:
    """A server may list them as it likes."""
    other = "package other\n\nx := 1\n"
    first = await read_from(
        told(), policies(REGO, other), told(AGENTS), told({}), told()
    )
    listed = [{"id": "1.rego", "raw": other}, {"id": "0.rego", "raw": REGO}]
    again = [told(), told(listed), told(AGENTS), told({}), told()]
    async with hostile(*again) as peer:
        http = await open_http(ServerAddress(url=peer.url))
        assert not await changed(http, first)
        await http.close()


@pytest.mark.parametrize(
    ("revisions", "expected"),
    [
        ({}, ""),
        ({"a": "r1"}, "r1"),
        ({"a": ""}, ""),
        ({"a": "r1", "b": ""}, ""),
        ({"b": "2", "a": "1"}, "a=1,b=2"),
    ],
)
def test_one_revision_is_told_for_all_bundles(
    revisions: dict[str, str], expected: str
) -> None:
    """And none if one of them has none."""
    assert joined(revisions) == expected


@pytest.mark.parametrize("revision", ["r" * (BUNDLE_REVISION_CHARS_MAX + 1), "a\nb"])
def test_a_revision_that_fits_in_no_record_is_told_by_its_hash(revision: str) -> None:
    """16 hex digits, as everywhere."""
    assert len(joined({"a": revision})) == 16
    assert joined({"a": revision}) != joined({"a": revision + "x"})


@pytest.mark.parametrize("place", ["", "..", "a/../b", "a//b", "./a", "/a"])
async def test_a_path_that_leads_out_of_the_api_is_refused(place: str) -> None:
    """Deleting a policy must not delete data."""
    async with hostile([reply()]) as peer:
        async with administer(ServerAddress(url=peer.url)) as admin:
            with pytest.raises(UsageError, match="is no path"):
                await admin.delete_policy(place)
        assert peer.asked == []


async def test_a_library_that_is_not_installed_is_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With what installs it."""
    monkeypatch.setitem(sys.modules, "opa_client.opa_async", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'assent\[opa\]'"):
        async with administer(ServerAddress(url="http://opa")):
            pytest.fail("nothing to administer with")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (reply(b'{"result":[]}', length=99), "ended before its end"),
        (reply(b'{"result":"' + b"x" * 4096 + b'"}'), "more than 1000 bytes"),
        (
            reply(status="302 Found", more="Location: http://127.0.0.9/x\r\n"),
            "elsewhere",
        ),
        (reply(b"x", content_type="text/plain"), "no answer"),
    ],
)
async def test_administration_believes_a_server_no_more_than_we_do(
    monkeypatch: pytest.MonkeyPatch, said: bytes, why: str
) -> None:
    """The library bounds nothing and follows everything; our connections do not."""
    monkeypatch.setattr(client, "OPA_POLICIES_BYTES_MAX", 1000)
    async with hostile([said, "close"]) as peer:
        async with administer(ServerAddress(url=peer.url)) as admin:
            with pytest.raises(EvaluationError, match=why):
                await admin.policies()
        assert len(peer.asked) == 1, "asked again"


async def test_administration_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that hangs is left."""
    monkeypatch.setattr("policy.opa.admin.OPA_READ_S", 0.1)
    async with (
        hostile(["hang"]) as peer,
        administer(ServerAddress(url=peer.url)) as admin,
    ):
        with pytest.raises(EvaluationError, match="in time") as failed:
            await admin.policies()
        assert failed.value.kind == "deadline"
