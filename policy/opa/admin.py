"""Administration of an OPA server, through `opa-python-client`.

Rule: the library is given our connections, so that address, certificates, token and
bounds are those of the hot path. What it would do unasked is switched off: repeating,
redirecting, rewriting a policy.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import quote

from bus.core.errors import (
    ConfigurationError,
    PolicyLoadError,
    PolicyUnavailableError,
    UsageError,
)
from bus.core.limits import ERROR_CHARS_MAX
from bus.core.policylimits import OPA_READ_S, OPA_READY_CHECK_S, OPA_READY_S
from policy.opa.address import ServerAddress
from policy.opa.client import FAULTS, explained, open_bounded_session

T = TypeVar("T")

_NOT_THERE: Final = frozenset({"resource_not_found", "PolicyNotFoundError"})
_UNAUTHORIZED: Final = "unauthorized"
_LEADS_OUT: Final = frozenset({"", ".", ".."})


class Administration:
    """What an operator may do to a server. Made by `administer`.

    Every method raises `PolicyUnavailableError` where the server does not answer in
    10 s, or does not do what it is asked.
    """

    __slots__ = ("_base", "_client", "_errors")

    def __init__(self, library: Any, client: Any, base: str) -> None:
        self._errors = library.errors
        self._client = client
        self._base = base

    async def policies(self) -> list[str]:
        """Return the ids of all policies."""
        found: list[str] = await self._do(self._client.get_policies_list())
        return sorted(found)

    async def policy(self, policy_id: str) -> str | None:
        """Return the text of a policy, or None if there is none of that id."""
        found = await self._find(self._client.get_policy(_place(policy_id)))
        return None if found is None else str(found["result"]["raw"])

    async def put_policy(self, policy_id: str, text: str) -> None:
        """Add or replace a policy.

        Raises:
            PolicyLoadError: the server refuses it; with file and line.
        """
        if not text.strip():
            raise PolicyLoadError("an empty policy", file=policy_id)
        try:
            # Its `rego_compat` would change the text until the server takes it.
            await self._do(
                self._client.update_policy_from_string(
                    text, _place(policy_id), rego_compat=False
                )
            )
        except self._library_error("RegoParseError") as error:
            raise _refused(policy_id, error) from None

    async def delete_policy(self, policy_id: str) -> bool:
        """Delete a policy; return False if there is none of that id."""
        return await self._find(self._client.delete_policy(_place(policy_id))) is True

    async def data(self, path: str) -> Any:
        """Return a document (`a/b`), or None if there is none; JSON null is None too."""
        found = await self._find(self._client.get_data(_place(path)))
        return None if found is None else found["result"]

    async def put_data(self, path: str, document: Mapping[str, Any]) -> None:
        """Add or replace a document.

        Raises:
            PolicyLoadError: the server refuses it, as where a bundle owns the path.
        """
        try:
            await self._do(
                self._client.update_or_create_data(dict(document), _place(path))
            )
        except self._library_error("RegoParseError") as error:
            raise _refused(path, error) from None

    async def delete_data(self, path: str) -> bool:
        """Delete a document; return False if there is none."""
        return await self._find(self._client.delete_data(_place(path))) is True

    async def health(self, *, bundles: bool = False, plugins: bool = False) -> bool:
        """Tell whether the server is up, and its bundles or plugins as well."""
        return bool(
            await self._do(
                self._client.check_health(
                    query=_asked(bundles=bundles, plugins=plugins),
                    diagnostic_url=f"{self._base}/health",
                )
            )
        )

    async def status(self) -> Mapping[str, Any]:
        """Return bundles and plugins as the server sees them.

        OPA answers HTTP 500 unless it is configured with a `status` section.
        """
        return await self._told(self._client.get_status())

    async def config(self) -> Mapping[str, Any]:
        """Return the configuration in force, without credentials."""
        return await self._told(self._client.get_config())

    async def wait_for_ready(
        self, timeout_s: float = OPA_READY_S, *, bundles: bool = False
    ) -> None:
        """Return once the server is healthy, asked every 100 ms.

        Raises:
            PolicyUnavailableError: it was not within `timeout_s`.
        """
        waiting = self._client.wait_for_ready(
            timeout=timeout_s,
            interval=OPA_READY_CHECK_S,
            query=_asked(bundles=bundles, plugins=False),
            diagnostic_url=f"{self._base}/health",
        )
        try:
            await self._do(waiting, more_s=timeout_s)
        except self._library_error("ConnectionsError"):
            raise PolicyUnavailableError(
                f"OPA server: not healthy within {timeout_s:g} s"
            ) from None

    async def _told(self, asked: Awaitable[Any]) -> Mapping[str, Any]:
        found = (await self._do(asked)).get("result")
        return found if isinstance(found, dict) else {}

    async def _find(self, asked: Awaitable[T]) -> T | None:
        """Return what was asked for, or None where the server says it is not there."""
        try:
            return await self._do(asked)
        except self._library_error(
            "PolicyNotFoundError", "DeletePolicyError", "DeleteDataError"
        ) as error:
            if error.expression in _NOT_THERE:
                return None
            raise PolicyUnavailableError(
                f"OPA server: {error.expression}: {error.message}"[:ERROR_CHARS_MAX]
            ) from None

    async def _do(self, asked: Awaitable[T], *, more_s: float = 0.0) -> T:
        try:
            async with asyncio.timeout(OPA_READ_S + more_s):
                return await asked
        except FAULTS as error:  # TimeoutError is an OSError
            raise explained(error) from None

    def _library_error(self, *names: str) -> tuple[type[Any], ...]:
        return tuple(getattr(self._errors, name) for name in names)


@asynccontextmanager
async def administer(address: ServerAddress) -> AsyncIterator[Administration]:
    """Open an administration of the server; its connections close at the end.

    Raises:
        ConfigurationError: the extra is not installed, or certificates cannot be
            loaded.
    """
    library = await asyncio.to_thread(_library)
    client = library.opa_async.AsyncOpaClient(retries=0)
    client.root_url = f"{address.base}/v1"
    async with await open_bounded_session(address) as session:
        # Its own would believe every authority, know no socket and bound nothing.
        client._session = session  # noqa: SLF001 - it takes no session from outside
        yield Administration(library, client, address.base)


def _library() -> Any:
    """Load the library; it brings a second HTTP library, so only here."""
    try:
        import opa_client.opa_async  # type: ignore[import-untyped]  # noqa: PLC0415 - an extra, untyped
    except ImportError as error:
        raise ConfigurationError(
            f"administration of an OPA server needs {error.name or 'opa_client'}; "
            "install it with: pip install 'assent[opa]'"
        ) from None
    return opa_client


def _place(path: str) -> str:
    """Return a path below the API, encoded; it must not lead out of there."""
    parts = path.split("/")
    if not _LEADS_OUT.isdisjoint(parts):
        raise UsageError(f"OPA server: {path!r} is no path; one is a/b")
    return "/".join(quote(part, safe="") for part in parts)


def _asked(*, bundles: bool, plugins: bool) -> dict[str, str]:
    asked = {"bundles": bundles, "plugins": plugins}
    return {name: "true" for name, wanted in asked.items() if wanted}


def _refused(place: str, error: Any) -> PolicyLoadError | PolicyUnavailableError:
    """Return what the server found wrong first."""
    if error.expression == _UNAUTHORIZED:
        return PolicyUnavailableError("OPA server: it does not let us do that")
    for detail in error.errors:
        told = detail.get("location") or {}
        reason = str(detail.get("message", error.message))[:ERROR_CHARS_MAX]
        file = str(told.get("file") or place)
        return PolicyLoadError(reason, file=file, line=int(told.get("row", 0)))
    return PolicyLoadError(str(error.message)[:ERROR_CHARS_MAX], file=place)
