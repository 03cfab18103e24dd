"""Which node a command talks to, and as whom: `--context`, `--server`, `--token`.

Rule: a token goes to the server that it was given for. That of a context goes nowhere
else, whatever the other options say.
"""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar, get_type_hints

import msgspec
import typer

from bus.core.errors import UsageError

ContextName = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="A kept server.")
]
Server = Annotated[
    str | None,
    typer.Option("--server", metavar="URL", help="wss://HOST[:PORT], or https://."),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token", metavar="TOKEN", help="The credential; better in ASSENT_TOKEN."
    ),
]
_OPTIONS: Final = {"context": ContextName, "server": Server, "token": Token}

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """A node, who asks it, and whom to believe; `repr` does not show the token."""

    url: str
    token: str | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False

    def __repr__(self) -> str:
        return f"Where({self.url!r})"

    def api(self) -> Any:
        """Return its HTTP interface, to enter."""
        from bus.remote.address import Trust  # noqa: PLC0415 - see bus.cli
        from bus.remote.web import Api  # noqa: PLC0415 - see bus.cli

        trust = Trust(
            ca=self.ca,
            certificate=self.certificate,
            key=self.key,
            insecure=self.insecure,
        )
        return Api(self.url, self.token, trust)

    def bus(self, **options: Any) -> Any:
        """Return it as a bus, to enter."""
        from bus.remote.client import connect  # noqa: PLC0415 - see bus.cli

        given: dict[str, Any] = {
            "token": self.token,
            "ca": self.ca,
            "certificate": self.certificate,
            "key": self.key,
            "insecure": self.insecure,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        return connect(self.url, **chosen, **options)


def where(context: str | None, server: str | None, token: str | None) -> Where:
    """Return the node that is meant; one of this machine if nothing says which.

    Raises:
        UsageError: `--context` and `--server` are both given.
        ConfigurationError: no such context, or its file cannot be honoured.
    """
    from bus.config.contexts import (  # noqa: PLC0415 - see bus.cli
        read_contexts,
        surroundings,
    )

    if context is not None and server is not None:
        raise UsageError("--context or --server: each of them names a server")
    around = surroundings()
    if server is None and context is None and around.context is None:
        server = around.server
    given = token or (None if around.token is None else around.token.reveal())
    if server is not None:
        return Where(url=server, token=given)
    kept = read_contexts(around.file)
    name = context or around.context or kept.current
    if name is None:
        return Where(url=_here(), token=given)
    one = kept.named(name)
    own = None if one.token is None else one.token.reveal()
    return Where(
        url=one.server,
        token=token or own or given,
        ca=one.ca,
        certificate=one.certificate,
        key=one.key,
        insecure=one.insecure,
    )


def at_server(function: F) -> Callable[..., Any]:
    """Give a command the options that say which node: it takes them as `at`, a `Where`."""
    signature = inspect.signature(function)
    hints = get_type_hints(function, include_extras=True)

    @functools.wraps(function)
    def command(**given: Any) -> Any:
        chosen = {name: given.pop(name) for name in _OPTIONS}
        return function(at=where(**chosen), **given)

    parameters = [
        one.replace(
            annotation=hints.get(one.name, one.annotation),
            kind=inspect.Parameter.KEYWORD_ONLY,
        )
        for one in signature.parameters.values()
        if one.name != "at"
    ]
    parameters += [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind
        )
        for name, kind in _OPTIONS.items()
    ]
    made: Any = command
    made.__signature__ = signature.replace(parameters=parameters)
    made.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def done(work: Coroutine[Any, Any, T]) -> T:
    """Carry work out and return its result; Ctrl-C ends it in order."""
    return asyncio.run(work)


def asked(at: Where, work: Callable[[Any], Awaitable[T]]) -> T:
    """Have `work` ask a node over HTTP, and return what it returns."""

    async def ask() -> T:
        async with at.api() as api:
            return await work(api)

    return done(ask())


def _here() -> str:
    """Return where a node of this machine is, by the settings."""
    from bus.cli.settings import loaded  # noqa: PLC0415 - see bus.cli

    http = loaded(None, None).settings.http
    scheme = "http" if http.cert_file is None else "https"
    return f"{scheme}://127.0.0.1:{http.port}"
