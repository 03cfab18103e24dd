"""Another policy put in force by an admin: tried out first, then written, then reloaded.

Rule: a policy that is refused changes nothing, in force or on disk. Files are replaced
whole, while no reload reads them, and what the bus then refuses is put back.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import msgspec
from msgspec import UNSET

from bus.config import Settings
from bus.core.edgeerrors import ConflictError
from bus.core.edgelimits import REASON_CHARS_MAX
from bus.core.errors import (
    LimitExceededError,
    MalformedMessageError,
    PolicyLoadError,
    PolicyUnavailableError,
    UnavailableError,
    UsageError,
)
from bus.edge.caller import Caller
from bus.edge.operator import tomltext
from bus.edge.operator.inside import Inside
from bus.edge.operator.policyanswers import PutAnswer, PutModule, PutPolicy
from bus.edge.operator.replacing import Texts, replace
from bus.edge.operator.revisions import Revisions

_IN_MEMORY: Final = "data"
"""What a bundle calls data that are a program's own."""

_SUFFIX: Final = ".rego"
_TEST_SUFFIX: Final = "_test.rego"


class Putting:
    """Puts policies in force on one node, one at a time."""

    def __init__(self, inside: Inside, revisions: Revisions) -> None:
        self._inside = inside
        self._settings: Settings = inside.bus.settings
        self._revisions = revisions
        self._one = asyncio.Lock()

    def why_not(self) -> str:
        """Return what stands in the way of another policy, or nothing."""
        bundle = self._inside.policy.bundle()
        if bundle is None or self._settings.policy.engine == "opa":
            return "policy is kept by an OPA server: put it in force there"
        if self._settings.bundle.files or self._settings.bundle.url is not None:
            return "policy comes in bundles that others build: put another there"
        if bundle.data_name == _IN_MEMORY:
            return "policy data are the program's own: set policy.data to a file"
        return ""

    async def put(self, caller: Caller, asked: PutPolicy) -> PutAnswer:
        """Put another policy in force.

        Raises:
            ConflictError: it was made from another one than that in force.
            PolicyLoadError: it is refused; says where and why. Nothing has changed.
            UsageError: policy is not kept in files here, or nothing is given.
        """
        async with self._one:
            return await self._put(caller, asked)

    async def _put(self, caller: Caller, asked: PutPolicy) -> PutAnswer:
        why_not = self.why_not()
        if why_not:
            raise UsageError(why_not)
        bundle = self._inside.policy.bundle()
        _check(asked, etag_of(bundle))
        candidate = await asyncio.to_thread(self._candidate, bundle, asked)
        await self._tried_out(candidate)
        before = self._inside.bus.revision
        wanted = self._wanted(bundle, asked)
        try:
            async with self._inside.reloading:  # no reload reads half of it
                kept = await asyncio.to_thread(replace, wanted)
        except OSError as error:
            raise UnavailableError("the policy's files cannot be written") from error
        try:
            after = await self._inside.bus.reload_policy()
        except (PolicyLoadError, PolicyUnavailableError):
            async with self._inside.reloading:
                await asyncio.to_thread(replace, kept)
            raise
        self._revisions.note(by=caller.agent)
        told = f"policy {before} -> {after}: {asked.reason or 'no reason given'}"
        self._inside.record("policy_put", caller, "", told)
        etag = etag_of(self._inside.policy.bundle())
        return PutAnswer(revision=after, before=before, etag=etag)

    def _candidate(self, bundle: Any, asked: PutPolicy) -> Any:
        """Return what is asked for as a bundle, read as the bus will read it. Blocks."""
        from policy import data as policy_data  # noqa: PLC0415 - not for the whole edge
        from policy.bundle import Bundle, Origin  # noqa: PLC0415 - as above
        from policy.source import Source  # noqa: PLC0415 - as above

        folder = self._settings.policy.folder
        sources = bundle.sources
        if asked.modules is not UNSET:
            if folder is None:
                raise UsageError(
                    "the rules in force are the built-in ones: set policy.folder"
                )
            sources = tuple(Source(one.name, one.text) for one in asked.modules)
        data = bundle.data if asked.data is UNSET else asked.data
        if folder is None:
            return Origin(data, None, self._settings.policy.areas).read()
        sliced = policy_data.sliced(bundle.data_name, data)
        return Bundle(sources, sliced, bundle.data_name, built_in=False)

    async def _tried_out(self, candidate: Any) -> None:
        """Load a policy in a process of its own; raises `PolicyLoadError`."""
        from policy.isolation.loading import load  # noqa: PLC0415 - not for the whole edge

        made = await load(candidate)
        await made.engine.close()

    def _wanted(self, bundle: Any, asked: PutPolicy) -> Texts:
        """Return what the files shall hold."""
        wanted: Texts = {}
        folder = self._settings.policy.folder
        if asked.modules is not UNSET and folder is not None:
            given = _named(asked.modules)
            for source in bundle.sources:
                wanted[folder / source.name] = None
            for name, text in given.items():
                wanted[folder / name] = text.encode()
        if asked.data is not UNSET:
            path = Path(bundle.data_name)
            toml = path.suffix == ".toml"
            text = tomltext.written(asked.data) if toml else _json(asked.data)
            wanted[path] = text.encode()
        return wanted


def etag_of(bundle: Any) -> str:
    """Return what names a policy's texts; empty where they are not here."""
    return "" if bundle is None else str(bundle.digest)


def _check(asked: PutPolicy, etag: str) -> None:
    """Raise unless a policy was made from the one in force, and there is one."""
    if asked.if_match is None:
        raise ConflictError("send the etag of the policy you have seen in If-Match")
    if asked.if_match != etag:
        raise ConflictError("the policy in force is another one by now: read it again")
    if asked.data is UNSET and asked.modules is UNSET:
        raise MalformedMessageError("give data, modules, or both")
    if len(asked.reason) > REASON_CHARS_MAX:
        raise LimitExceededError(
            "reason characters", actual=len(asked.reason), allowed=REASON_CHARS_MAX
        )
    if asked.modules is not UNSET:
        _named(asked.modules)


def _named(modules: Iterable[PutModule]) -> dict[str, str]:
    """Return texts by the names of their files, which stay inside the folder."""
    found: dict[str, str] = {}
    for module in modules:
        name = module.name
        parts = PurePosixPath(name).parts
        plain = name.isprintable() and "\\" not in name and name == "/".join(parts)
        inside = not any(part.startswith((".", "/")) for part in parts)
        if not (plain and inside and name.endswith(_SUFFIX)):
            raise PolicyLoadError("a module is a .rego file in the folder", file=name)
        if name.endswith(_TEST_SUFFIX):
            raise PolicyLoadError("tests are no part of a policy", file=name)
        if name in found:
            raise PolicyLoadError("there twice", file=name)
        found[name] = module.text
    if not found:
        raise PolicyLoadError("a policy has a module")
    return found


def _json(data: Mapping[str, Any]) -> str:
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"
