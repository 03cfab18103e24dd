"""What the bus needs of the policy that an OPA server holds, besides its answers.

Rule: a revision is believed only where bundles own all that the entry rule can read.
Elsewhere policy may change between two looks, and nobody may rely on the revision.
"""

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

import msgspec

from bus.core.decision import Principal
from bus.core.errors import PolicyLoadError
from bus.core.limits import POLICY_DATA_BYTES_MAX, POLICY_FILES_MAX
from bus.core.policylimits import OPA_POLICIES_BYTES_MAX, OPA_READ_S
from policy import data as policy_data
from policy.deps import VOLATILE, Dependencies, dependencies
from policy.engine import Engine
from policy.evaluation import EvaluationError
from policy.loading import ENTRY
from policy.opa import answers
from policy.opa.client import Http, Request
from policy.source import Source
from policy.syntax import Path

AGENTS: Final = "agents"
_MASKS: Final = re.compile(r"^\s*package\s+system\.log\b", re.MULTILINE)
_REVISION_CHARS: Final = 16
# Where the policies cannot be read here, nothing may be assumed of them.
_UNREAD: Final = Dependencies(None, frozenset({()}), VOLATILE)


class ServerPolicy(msgspec.Struct, frozen=True):
    """The policy of a server, as it was when it was read.

    `known` tells that the revision is that of bundles, that answers tell it, and that
    nothing the entry rule reads can change without it. Otherwise it is a hash of what
    was read, answers tell another or none, and a decision is kept at most a second.
    `unread` says why the policies could not be read here; then every input counts,
    and no decision is kept at all. `masks` tells that it has rules for what a decision
    log may show (`system.log`), which only the server can evaluate.
    """

    revision: str
    known: bool
    dependencies: Dependencies
    agents: Mapping[str, Principal]
    unread: str = ""
    digest: str = ""
    masks: bool = False


class _Manifest(msgspec.Struct, frozen=True):
    revision: str = ""
    roots: list[str] | None = None


class _Bundle(msgspec.Struct, frozen=True):
    manifest: _Manifest = _Manifest()


class _Module(msgspec.Struct):
    id: str
    raw: str


class _Modules(msgspec.Struct):
    result: list[_Module] = []


class _Rules(msgspec.Struct, frozen=True):
    """What the policies' texts tell."""

    dependencies: Dependencies
    packages: frozenset[Path]
    unread: str = ""


async def read(http: Http) -> ServerPolicy:
    """Return the policy a server has now.

    Raises:
        EvaluationError: it cannot be had.
        PolicyLoadError: no valid agents, or no entry rule.
    """
    bundles = await _bundles(http)
    texts = await _policies(http)
    rules = await asyncio.to_thread(_rules, texts)
    documents = await _documents(http, rules.dependencies)
    agents = await asyncio.to_thread(_agents, documents[AGENTS])
    digest = await asyncio.to_thread(_digest, bundles, texts, documents)
    # Between the first request and the last, another revision may have come.
    if await _bundles(http) != bundles:
        raise EvaluationError(
            "OPA server: a bundle was activated while its policy was read",
            kind="unavailable",
        )
    told = answers.joined({n: b.manifest.revision for n, b in bundles.items()})
    known = bool(told) and _owned(bundles, rules)
    return ServerPolicy(
        revision=told if known else digest,
        known=known,
        dependencies=rules.dependencies,
        agents=agents,
        unread=rules.unread,
        digest=digest,
        masks=any(_MASKS.search(file.text) for file in texts),
    )


async def changed(http: Http, policy: ServerPolicy) -> bool:
    """Tell whether `read` may now return another policy.

    One small request where the revision is known, else all of the policy and its data.

    Raises:
        EvaluationError: it cannot be told.
    """
    bundles = await _bundles(http)
    if policy.known:
        told = {name: bundle.manifest.revision for name, bundle in bundles.items()}
        return answers.joined(told) != policy.revision
    texts = await _policies(http)
    documents = await _documents(http, policy.dependencies)
    return await asyncio.to_thread(_digest, bundles, texts, documents) != policy.digest


async def _bundles(http: Http) -> dict[str, _Bundle]:
    found = await _get(http, "/v1/data/system/bundles", POLICY_DATA_BYTES_MAX)
    document = answers.document(found)
    if document is None:
        return {}
    try:
        return msgspec.json.decode(document, type=dict[str, _Bundle])
    except (ValueError, RecursionError) as error:
        raise EvaluationError(
            f"OPA server: its bundles cannot be read: {error}", kind="malformed"
        ) from None


async def _policies(http: Http) -> tuple[Source, ...]:
    found = await _get(http, "/v1/policies", OPA_POLICIES_BYTES_MAX)
    if found.status != answers.OK:
        raise answers.refusal(found)
    return await asyncio.to_thread(_texts, found)


async def _documents(http: Http, read: Dependencies) -> dict[str, bytes]:
    """Return the JSON of each root of data that is read, the agents always."""
    roots = {path[0] for path in read.data if path} | {AGENTS}
    made: dict[str, bytes] = {}
    for root in sorted(roots):
        place = f"/v1/data/{quote(root, safe='')}"
        found = await _get(http, place, POLICY_DATA_BYTES_MAX)
        made[root] = answers.document(found) or b""
    return made


async def _get(http: Http, path: str, bytes_max: int) -> answers.Reply:
    return await http.send(Request(http.url(path), OPA_READ_S, bytes_max))


def _texts(reply: answers.Reply) -> tuple[Source, ...]:
    modules = answers.read(reply, msgspec.json.Decoder(_Modules).decode).result
    return tuple(Source(m.id, m.raw) for m in sorted(modules, key=lambda m: m.id))


def _rules(texts: tuple[Source, ...]) -> _Rules:
    """Read what the entry rule can read, or say why that is not known."""
    if not texts:
        raise PolicyLoadError(f"the OPA server has no policies, so no rule {ENTRY}")
    if len(texts) > POLICY_FILES_MAX:
        return _Rules(_UNREAD, frozenset(), f"more than {POLICY_FILES_MAX} policies")
    try:
        engine = Engine(texts, "{}")
    except PolicyLoadError as error:
        return _Rules(_UNREAD, frozenset(), str(error))
    program, builtins = engine.program, engine.builtins
    del engine  # an error would take it along to another thread, where none may end
    if tuple(ENTRY.split(".")) not in program.rules:
        raise PolicyLoadError(f"the OPA server has no rule {ENTRY}")
    packages = frozenset(module.package[1:] for module in program.modules)
    return _Rules(dependencies(program, ENTRY, builtins), packages)


def _agents(document: bytes) -> dict[str, Principal]:
    name = "data of the OPA server"
    if not document:
        raise PolicyLoadError("there is no data.agents", file=name)
    try:
        found = msgspec.json.decode(document)
    except (ValueError, RecursionError) as error:
        raise PolicyLoadError(str(error), file=name) from None
    return policy_data.agents_of(name, {AGENTS: found})


def _digest(
    bundles: Mapping[str, _Bundle],
    texts: Iterable[Source],
    documents: Mapping[str, bytes],
) -> str:
    """Return 16 hex digits over all that was read, revisions among it.

    The names of policies are not: a server takes any, and rules do not know them.
    """
    revisions = {name: bundle.manifest.revision for name, bundle in bundles.items()}
    content = msgspec.msgpack.encode(
        (revisions, sorted(t.text for t in texts), documents), order="sorted"
    )
    return hashlib.sha256(content).hexdigest()[:_REVISION_CHARS]


def _owned(bundles: Mapping[str, _Bundle], rules: _Rules) -> bool:
    """Tell whether all that the entry rule can read came in a bundle."""
    roots = [
        tuple(root.strip("/").split("/")) if root.strip("/") else ()
        for bundle in bundles.values()
        for root in ([""] if bundle.manifest.roots is None else bundle.manifest.roots)
    ]
    if () in roots:
        return True
    if rules.unread:
        return False
    read = {*rules.packages, *rules.dependencies.data, (AGENTS,)}
    return all(any(path[: len(root)] == root for root in roots) for path in read)
