"""A real OPA server: asked, read, watched, lost and found again."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bus.config import Secret
from bus.core.breaker import State
from bus.core.decision import Principal
from bus.core.errors import PolicyLoadError, PolicyUnavailableError
from policy.deps import VOLATILE
from policy.engine import Engine
from policy.evaluation import EvaluationError
from policy.loading import ENTRY, sample_message
from policy.opa.address import ServerAddress
from policy.opa.admin import Administration, administer
from policy.opa.server import OpaServer, connect
from policy.source import Source
from tests.fakes.opa_process import BUILT_IN_POLICY, OpaProcess, running_opa
from tests.parts import require

pytestmark = pytest.mark.integration

SECOND_NS = 1_000_000_000
DATA = {
    "agents": {"a": {"tenant": "acme", "roles": ["r"]}},
    "tenants": {"acme": {}},
    "roles": {"r": {"publish": [{"subject": "orders.>"}]}},
}
RULES = """package a

even := input.n % 2 == 0

known if input.n == 1

clash := 1 if input.n > 0

clash := 2 if input.n > 1

failed := 1 / input.n
"""


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.ns = SECOND_NS

    def __call__(self) -> int:
        """Return nanoseconds."""
        return self.ns


def question(subject: str, sender: str = "a") -> str:
    """Return the input of a publish."""
    return json.dumps(
        {
            "action": "publish",
            "principal": {"id": sender, "tenant": "acme", "roles": ["r"]},
            "message": sample_message("acme", "publish") | {"subject": subject},
        }
    )


@asynccontextmanager
async def connected(
    opa: OpaProcess, clock: Clock | None = None
) -> AsyncIterator[OpaServer]:
    """Yield a client of a server that runs."""
    server = await connect(opa.address, now_ns=clock or Clock())
    try:
        yield server
    finally:
        await server.close()


def written(folder: Path, name: str, content: str) -> str:
    """Write a file and return its path."""
    (folder / name).write_text(content)
    return str(folder / name)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Return the built-in policy with data for one agent, and rules that fail."""
    return [
        *BUILT_IN_POLICY,
        written(tmp_path, "data.json", json.dumps(DATA)),
        written(tmp_path, "rules.rego", RULES),
    ]


async def kind_of(server: OpaServer, rule: str, input_json: str) -> str:
    """Return the kind of the error that a question ends in."""
    with pytest.raises(EvaluationError) as failed:
        await server.evaluate(rule, input_json)
    return failed.value.kind


async def test_a_server_answers_as_the_embedded_engine_does(files: list[str]) -> None:
    """True, false, undefined, a conflict, a failed built-in function."""
    embedded = Engine([Source("rules.rego", RULES)], "{}")
    async with running_opa(*files) as opa, connected(opa) as server:
        assert not server.batches, "an open OPA takes no batches"
        for rule in ("data.a.even", "data.a.known"):
            for n in (1, 2):
                told = (await server.evaluate(rule, f'{{"n":{n}}}')).result
                assert told == embedded.evaluate(rule, f'{{"n":{n}}}')
        assert (await server.evaluate("data.a.none", "{}")).result is None
        assert (await server.evaluate("data.a.clash", '{"n":1}')).result == "1"
        with pytest.raises(EvaluationError, match=r"rules\.rego:\d+: .*multiple"):
            await server.evaluate("data.a.clash", '{"n":2}')
        with pytest.raises(EvaluationError, match="divide by zero"):
            await server.evaluate("data.a.failed", '{"n":0}')
        assert server.breaker.name == State.CLOSED.name
        decision = json.loads(
            (await server.evaluate(ENTRY, question("orders.1"))).result or ""
        )
        assert decision["allow"] is True
        decision = json.loads(
            (await server.evaluate(ENTRY, question("other"))).result or ""
        )
        assert decision["allow"] is False


async def test_a_unix_socket_is_as_good_as_a_port(
    tmp_path: Path, files: list[str]
) -> None:
    """The faster way to a server on the same machine."""
    address = ServerAddress(url=f"unix:{tmp_path}/opa.sock")
    async with running_opa(*files, address=address) as opa, connected(opa) as server:
        assert (await server.evaluate("data.a.even", '{"n":2}')).result == "true"
        assert (await server.read()).agents == {"a": Principal("a", "acme", ("r",))}


def openssl(folder: Path, *arguments: str) -> None:
    """Run openssl in a folder."""
    program = require("openssl")
    subprocess.run([program, *arguments], cwd=folder, capture_output=True, check=True)


def authority(folder: Path, name: str, *signed: str) -> None:
    """Make an authority, and a certificate of it for each name."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        folder, "req", "-x509", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem",
        "-days", "2", "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign",
    )  # fmt: skip
    (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for subject in signed:
        openssl(
            folder, "req", *key, "-keyout", f"{subject}.key", "-out", f"{subject}.csr",
            "-subj", f"/CN={subject}",
        )  # fmt: skip
        openssl(
            folder, "x509", "-req", "-in", f"{subject}.csr", "-CA", f"{name}.pem",
            "-CAkey", f"{name}.key", "-CAcreateserial", "-days", "2", "-extfile", "san",
            "-out", f"{subject}.pem",
        )  # fmt: skip


async def test_tls_believes_its_own_authority_only_and_shows_a_certificate(
    tmp_path: Path, files: list[str]
) -> None:
    """Neither a server of another authority nor a client of none gets through."""
    await asyncio.to_thread(authority, tmp_path, "ca", "server", "client")
    await asyncio.to_thread(authority, tmp_path, "other", "stranger")
    good: dict[str, Any] = {
        "ca_file": tmp_path / "ca.pem",
        "cert_file": tmp_path / "client.pem",
        "key_file": tmp_path / "client.key",
    }
    async with running_opa(*files) as plain:
        port = plain.address.port
    address = ServerAddress(url=f"https://localhost:{port}", **good)
    tls = [
        f"--tls-cert-file={tmp_path}/server.pem",
        f"--tls-private-key-file={tmp_path}/server.key",
        f"--tls-ca-cert-file={tmp_path}/ca.pem",
        "--authentication=tls",
    ]
    async with running_opa(*files, *tls, address=address) as opa:
        async with connected(opa) as server:
            assert (await server.evaluate("data.a.even", '{"n":2}')).result == "true"
        async with administer(address) as admin:
            assert await admin.health()
        stranger = {
            "cert_file": tmp_path / "stranger.pem",
            "key_file": tmp_path / "stranger.key",
        }
        for wrong in (
            {"ca_file": tmp_path / "other.pem"},
            {"cert_file": None, "key_file": None},
            stranger,
        ):
            settings = good | wrong
            refused = ServerAddress(url=address.url, **settings)
            with pytest.raises(EvaluationError) as failed:
                await connect(refused, now_ns=Clock())
            assert failed.value.kind == "unavailable"
        async with administer(ServerAddress(url=address.url)) as admin:
            assert not await admin.health(), "an authority that nobody named"


async def test_a_token_lets_in_and_its_lack_does_not(
    tmp_path: Path, files: list[str]
) -> None:
    """At the start, with the reason, and without the token in it."""
    authz = 'package system.authz\n\ndefault allow := false\n\nallow if input.identity == "s3cret"\n\nallow if input.path == ["health"]\n'
    files.append(await asyncio.to_thread(written, tmp_path, "authz.rego", authz))
    token = ["--authentication=token", "--authorization=basic"]
    async with running_opa(*files, *token) as opa:
        address = ServerAddress(url=opa.url, token=Secret("s3cret"))
        server = await connect(address, now_ns=Clock())
        assert (await server.evaluate("data.a.even", '{"n":2}')).result == "true"
        await server.close()
        wrong = ServerAddress(url=opa.url, token=Secret("guessed"))
        with pytest.raises(EvaluationError, match="does not let us in") as failed:
            await connect(wrong, now_ns=Clock())
        assert "guessed" not in repr(failed.value)
        async with administer(wrong) as admin:
            with pytest.raises(EvaluationError, match="HTTP 401"):
                await admin.policies()
            with pytest.raises(PolicyUnavailableError, match="does not let us"):
                await admin.put_policy("x", "package x")


async def test_a_server_that_stops_is_left_alone_and_found_again(
    files: list[str],
) -> None:
    """Denied with the reason all the while, by nothing but this server."""
    clock = Clock()
    async with running_opa(*files) as opa, connected(opa, clock) as server:
        assert (await server.evaluate("data.a.even", '{"n":2}')).result == "true"
        await opa.stop()
        for _ in range(3):
            assert await kind_of(server, "data.a.even", "{}") == "unavailable"
        assert server.breaker.name == State.OPEN.name
        await opa.start()
        with pytest.raises(EvaluationError, match="left alone"):
            await server.evaluate("data.a.even", '{"n":2}')
        clock.ns += 15 * SECOND_NS
        assert (await server.evaluate("data.a.even", '{"n":2}')).result == "true"
        assert server.breaker.name == State.CLOSED.name


async def test_a_policy_of_plain_files_is_known_by_what_is_in_it(
    files: list[str],
) -> None:
    """No revision is told, so it is a hash, and nobody may rely on it for long."""
    async with running_opa(*files) as opa, connected(opa) as server:
        policy = await server.read()
        assert (policy.known, len(policy.revision)) == (False, 16)
        assert policy.agents == {"a": Principal("a", "acme", ("r",))}
        assert policy.unread == ""
        assert policy.dependencies.input is not None
        assert ("message", "subject") in policy.dependencies.input
        assert not policy.dependencies.volatile
        assert (await server.evaluate(ENTRY, question("orders.1"))).revision == ""
        assert not await server.changed(policy)
        await _changes(opa, server)


async def _changes(opa: OpaProcess, server: OpaServer) -> None:
    async with administer(opa.address) as admin:
        before = await server.read()
        await admin.put_data("roles/s", {})
        assert await server.changed(before), "data that is read"
        after = await server.read()
        assert after.revision != before.revision
        await admin.put_data("unrelated", {"x": 1})
        assert not await server.changed(after), "data that nobody reads"
        await admin.put_policy("more", "package more\n\nx := 1\n")
        assert await server.changed(after), "a policy"
        await admin.put_data("agents/b", {"tenant": "acme", "enabled": False})
        await admin.put_data("agents/c", {"tenant": "acme"})
        assert set((await server.read()).agents) == {"a", "c"}


async def test_a_policy_that_cannot_be_read_here_is_never_kept(
    tmp_path: Path, files: list[str]
) -> None:
    """OPA knows functions that our engine does not: then every input counts."""
    jwt = "package jwt\n\nx := io.jwt.decode(input.token)\n"
    files.append(await asyncio.to_thread(written, tmp_path, "jwt.rego", jwt))
    async with running_opa(*files) as opa, connected(opa) as server:
        policy = await server.read()
        assert "io.jwt.decode" in policy.unread
        assert policy.dependencies.input is None
        assert policy.dependencies.volatile == VOLATILE
        assert not policy.known
        assert set(policy.agents) == {"a"}


@pytest.mark.parametrize(
    ("data", "policies", "why"),
    [
        (None, True, "no data.agents"),
        ({"agents": {"a": {"tenant": 7}}}, True, "agents"),
        ({"agents": {}}, False, "no rule data.assent.authz.decision"),
    ],
)
async def test_a_server_without_agents_or_the_entry_rule_is_refused(
    tmp_path: Path, data: object, why: str, *, policies: bool
) -> None:
    """The bus could not say who anybody is."""
    given = [*BUILT_IN_POLICY]
    if not policies:
        given = [await asyncio.to_thread(written, tmp_path, "a.rego", RULES)]
    if data is not None:
        text = json.dumps(data)
        given.append(await asyncio.to_thread(written, tmp_path, "data.json", text))
    async with running_opa(*given) as opa, connected(opa) as server:
        with pytest.raises(PolicyLoadError, match=why):
            await server.read()


def built(folder: Path, revision: str, *roots: str) -> bytes:
    """Return a bundle of the built-in policy and one agent, built by OPA."""
    source = folder / revision
    source.mkdir()
    for path in BUILT_IN_POLICY:
        shutil.copy(path, source)
    written(source, "data.json", json.dumps(DATA))
    named = ["--revision", revision]
    if roots:
        manifest = {"revision": revision, "roots": roots}
        written(source, ".manifest", json.dumps(manifest))
        named = []
    target = folder / f"{revision}.tar.gz"
    build = [require("opa"), "build", "-b", str(source), "-o", str(target), *named]
    subprocess.run(build, check=True)
    return target.read_bytes()


@asynccontextmanager
async def serving(content: dict[str, bytes]) -> AsyncIterator[str]:
    """Serve what `content` holds when it is asked for."""

    async def give(request: web.Request) -> web.Response:
        return web.Response(body=content[request.match_info["name"]])

    app = web.Application()
    app.router.add_get("/{name}", give)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_revision_of_a_bundle_is_told_with_each_answer(
    tmp_path: Path,
) -> None:
    """It is known, and a new one is seen in the next answer and by looking."""
    content = {"b": await asyncio.to_thread(built, tmp_path, "r1")}
    async with serving(content) as url:
        settings = [
            f"--set=services.s.url={url}",
            "--set=bundles.authz.service=s",
            "--set=bundles.authz.resource=b",
            "--set=bundles.authz.polling.min_delay_seconds=1",
            "--set=bundles.authz.polling.max_delay_seconds=1",
        ]
        async with running_opa(*settings) as opa, connected(opa) as server:
            async with administer(opa.address) as admin:
                await admin.wait_for_ready(bundles=True)
            policy = await server.read()
            assert (policy.revision, policy.known) == ("r1", True)
            assert (await server.evaluate(ENTRY, question("orders.1"))).revision == "r1"
            assert not await server.changed(policy)
            content["b"] = await asyncio.to_thread(built, tmp_path, "r2")
            async with asyncio.timeout(20):
                while not await server.changed(policy):  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(0.05)
            assert (await server.evaluate(ENTRY, question("orders.1"))).revision == "r2"
            assert (await server.read()).revision == "r2"


async def test_a_bundle_that_owns_only_a_part_makes_no_revision_known(
    tmp_path: Path,
) -> None:
    """Data beside it may change at any time, and its revision would not."""
    await asyncio.to_thread(
        built, tmp_path, "part", "assent", "agents", "roles", "tenants"
    )
    bundle = f"{tmp_path}/part.tar.gz"
    async with running_opa("--bundle", bundle) as opa, connected(opa) as server:
        policy = await server.read()
        assert not policy.known, "nobody owns data.limits"
        assert policy.revision != "part"
        async with administer(opa.address) as admin:
            await admin.put_data("limits", {"depth": 1})
            with pytest.raises(PolicyLoadError, match="owned by bundle"):
                await admin.put_data("agents", {})
            with pytest.raises(PolicyUnavailableError, match="owned by bundle"):
                await admin.delete_data("agents")
        assert await server.changed(policy)


async def test_policies_and_data_are_administered(files: list[str]) -> None:
    """Put, got, listed and deleted; what is not there is None or False."""
    async with running_opa(*files) as opa, administer(opa.address) as admin:
        text = "package x\n\ny := 1\n"
        await admin.put_policy("some/x.rego", text)
        assert "some/x.rego" in await admin.policies()
        assert await admin.policy("some/x.rego") == text
        assert await admin.delete_policy("some/x.rego")
        assert not await admin.delete_policy("some/x.rego")
        assert await admin.policy("some/x.rego") is None
        await admin.put_data("x/y", {"z": [1]})
        assert await admin.data("x/y") == {"z": [1]}
        assert await admin.data("x/y/z") == [1]
        assert await admin.delete_data("x/y")
        assert not await admin.delete_data("x/y")
        assert await admin.data("x/y") is None
        assert await admin.health(bundles=True, plugins=True)
        assert (await admin.config())["default_decision"] == "/system/main"
        await _refused(admin)


async def _refused(admin: Administration) -> None:
    old = "package x\n\nallow { input.y }\n"
    with pytest.raises(PolicyLoadError, match="`if` keyword is required") as refused:
        await admin.put_policy("x", old)
    assert refused.value.line == 3
    assert await admin.policy("x") is None, "it was rewritten"
    with pytest.raises(PolicyLoadError, match="empty"):
        await admin.put_policy("x", " ")
    with pytest.raises(EvaluationError, match="HTTP 500"):
        await admin.status()


async def test_the_status_of_bundles_is_told_where_it_is_configured(
    tmp_path: Path,
) -> None:
    """OPA has to be asked to keep it."""
    await asyncio.to_thread(built, tmp_path, "r1")
    settings = [
        "--set=status.prometheus=true",
        "--set=bundles.authz.resource=file://" + str(tmp_path / "r1.tar.gz"),
    ]
    async with running_opa(*settings) as opa, administer(opa.address) as admin:
        await admin.wait_for_ready(bundles=True)
        status = await admin.status()
        assert status["bundles"]["authz"]["active_revision"] == "r1"


async def test_a_server_that_never_gets_ready_is_said_so(files: list[str]) -> None:
    """Within the time that was given."""
    async with running_opa(*files) as opa:
        address = opa.address
    async with administer(address) as admin:
        with pytest.raises(Exception, match=r"not healthy within 0\.2 s"):
            await admin.wait_for_ready(0.2)
