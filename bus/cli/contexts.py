"""`assent context`: the servers that a person's commands talk to, kept by name."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bus.cli.output import AsJson, add_group, emit, say, table

Name = Annotated[str, typer.Argument(metavar="NAME")]
Url = Annotated[
    str, typer.Option("--server", metavar="URL", help="wss://HOST[:PORT], or https://.")
]
TokenFile = Annotated[
    str | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Holds the token alone; - is standard input. Else ASSENT_TOKEN is kept.",
    ),
]
Pem = Annotated[Path | None, typer.Option(metavar="FILE", help="In PEM.")]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Allow a plain address of another machine."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "context",
        "Keep servers by name, and say which one is meant.",
        {"list": listed, "add": add, "use": use, "remove": remove},
    )


def listed(*, as_json: AsJson = False) -> None:
    """List the servers that are kept; tokens are not shown."""
    from bus.config import contexts  # noqa: PLC0415 - see bus.cli

    around = contexts.surroundings()
    kept = contexts.read_contexts(around.file)
    rows = [
        {
            "name": name,
            "current": name == kept.current,
            "server": one.server,
            "token": one.token is not None,
            "ca": None if one.ca is None else str(one.ca),
            "certificate": None if one.certificate is None else str(one.certificate),
            "insecure": one.insecure,
        }
        for name, one in sorted(kept.contexts.items())
    ]
    emit(
        {"file": str(around.file), "contexts": rows},
        lambda: table(
            ("", "name", "server", "token", "ca", "certificate"),
            [
                (
                    "*" if row["current"] else "",
                    row["name"],
                    row["server"],
                    "kept" if row["token"] else "",
                    row["ca"] or "",
                    row["certificate"] or "",
                )
                for row in rows
            ],
        ),
        as_json=as_json,
    )


def add(  # noqa: PLR0913 - one parameter for each option
    name: Name,
    server: Url,
    token_file: TokenFile = None,
    ca: Pem = None,
    certificate: Pem = None,
    key: Pem = None,
    *,
    insecure: Insecure = False,
    as_json: AsJson = False,
) -> None:
    """Keep a server, in place of the one of that name; the first one is the current one.

    Its token is taken from a file or from ASSENT_TOKEN, so that no list of processes and
    no history of a shell has it.
    """
    from bus.config import contexts  # noqa: PLC0415 - see bus.cli
    from bus.remote.address import Trust, address  # noqa: PLC0415 - see bus.cli

    trust = Trust(ca=ca, certificate=certificate, key=key, insecure=insecure)
    address(server, trust)  # refused before it is kept
    around = contexts.surroundings()
    one = contexts.Context(
        server=server,
        token=around.token if token_file is None else _token(token_file),
        ca=_whole(ca),
        certificate=_whole(certificate),
        key=_whole(key),
        insecure=insecure,
    )
    kept = contexts.read_contexts(around.file).added(name, one)
    contexts.write_contexts(around.file, kept)
    _said(name, f"{name} is kept", as_json=as_json)


def use(name: Name, *, as_json: AsJson = False) -> None:
    """Make a kept server the one that is meant where none is named."""
    from bus.config import contexts  # noqa: PLC0415 - see bus.cli

    file = contexts.surroundings().file
    contexts.write_contexts(file, contexts.read_contexts(file).using(name))
    _said(name, f"{name} is the current one", as_json=as_json)


def remove(name: Name, *, as_json: AsJson = False) -> None:
    """Forget a server, and its token."""
    from bus.config import contexts  # noqa: PLC0415 - see bus.cli

    file = contexts.surroundings().file
    contexts.write_contexts(file, contexts.read_contexts(file).without(name))
    _said(name, f"{name} is forgotten", as_json=as_json)


def _said(name: str, text: str, *, as_json: bool) -> None:
    emit({"context": name}, lambda: say(text), as_json=as_json)


def _token(file: str) -> Any:
    import sys  # noqa: PLC0415 - for standard input alone

    from bus.config import Secret  # noqa: PLC0415 - see bus.cli
    from bus.config.sources import read_bounded  # noqa: PLC0415 - see bus.cli
    from bus.core.edgelimits import CREDENTIAL_CHARS_MAX  # noqa: PLC0415 - see bus.cli
    from bus.core.errors import ConfigurationError  # noqa: PLC0415 - see bus.cli

    if file == "-":
        text = sys.stdin.read(CREDENTIAL_CHARS_MAX + 1)
    else:
        text = read_bounded(Path(file), CREDENTIAL_CHARS_MAX)
    text = text.strip()
    if not text or len(text) > CREDENTIAL_CHARS_MAX or not text.isprintable():
        raise ConfigurationError("that is no token: one line of printable characters")
    return Secret(text)


def _whole(file: Path | None) -> Path | None:
    """Return a path that means the same from any folder."""
    return None if file is None else file.absolute()
