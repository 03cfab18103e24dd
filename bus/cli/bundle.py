"""`assent bundle build|sign|verify|inspect|state`: policy as it is shipped."""

from pathlib import Path
from typing import Annotated

import typer

from bus.cli.output import AsJson, add_group, emit, say, table
from bus.core.errors import ConfigurationError

Folder = Annotated[str, typer.Argument(help="Rego and data.json|yaml, as OPA has it.")]
File = Annotated[str, typer.Argument(help="A bundle: bundle.tar.gz.")]
Out = Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="Where to.")]
Revision = Annotated[
    str | None,
    typer.Option(help="What it declares to be; else what the folder's manifest does."),
]
Roots = Annotated[
    list[str] | None,
    typer.Option("--root", metavar="PATH", help="What it owns; again for another."),
]
PrivateKey = Annotated[
    str,
    typer.Option(
        "--signing-key", metavar="PEM", help="A private key: RSA, P-256 or Ed25519."
    ),
]
PublicKey = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="PEM", help="Public; without it only unsigned holds."
    ),
]
Part = Annotated[
    bool,
    typer.Option("--part", help="One of several bundles: its rules are only parsed."),
]
KeyId = Annotated[str, typer.Option("--key-id", help="The name of the key.")]
Scope = Annotated[str, typer.Option(help="What the signature is for.")]
Record = Annotated[
    str, typer.Option(metavar="FILE", help="Where the states are recorded.")
]
Named = Annotated[str, typer.Argument(help="A bundle, or its digest of 64 digits.")]
What = Annotated[
    str | None,
    typer.Option(
        "--event", help="draft, submit, approve, reject, publish, deprecate or revoke."
    ),
]
Who = Annotated[str | None, typer.Option("--by", metavar="WHO", help="Who does it.")]
Reason = Annotated[str, typer.Option(help="Why.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "bundle",
        "Build, sign, check or release policy bundles.",
        {
            "build": build,
            "sign": sign,
            "verify": verify,
            "inspect": inspect,
            "state": state,
        },
    )


def build(
    folder: Folder,
    output: Out,
    revision: Revision = None,
    roots: Roots = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Pack a folder: always into the same bytes. Tests are left out.

    The revision is made of the contents; what --revision declares is shown beside it.
    """
    from bus.cli import bundles  # noqa: PLC0415 - see bus.cli
    from policy.bundles import build as building  # noqa: PLC0415 - see bus.cli

    content = building.build(Path(folder), revision=revision, roots=roots)
    part = bundles.is_part(content)
    bundles.write(Path(output), content)
    bundles.tell_written(output, content, part=part, as_json=as_json)


def sign(
    file: File,
    signing_key: PrivateKey,
    output: Out,
    key_id: KeyId = "default",
    scope: Scope = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Sign a bundle, whoever built it; a signature it has is replaced."""
    from bus.cli import bundles  # noqa: PLC0415 - see bus.cli
    from policy.bundles import build as building  # noqa: PLC0415 - see bus.cli

    key = bundles.signing_key(signing_key, key_id, scope)
    content = building.sign(bundles.read(file), key)
    bundles.write(Path(output), content)
    bundles.tell_written(output, content, as_json=as_json)


def verify(
    file: File,
    key: PublicKey = None,
    key_id: KeyId = "default",
    scope: Scope = "",
    *,
    part: Part = False,
    as_json: AsJson = False,
) -> None:
    """Check a bundle as the bus would before it is in force: signature, rules, data."""
    from bus.cli import bundles  # noqa: PLC0415 - see bus.cli

    known = bundles.keys(key, key_id, scope)
    bundles.tell_verified(file, known, part=part, as_json=as_json)


def inspect(file: File, *, as_json: AsJson = False) -> None:
    """Show what a bundle says of itself. Nothing of it is proven."""
    from bus.cli import bundles  # noqa: PLC0415 - see bus.cli
    from policy.bundles import opening  # noqa: PLC0415 - see bus.cli

    found = opening.inspect(bundles.read(file))
    emit(found, lambda: bundles.show(found), as_json=as_json)


def state(
    named: Named,
    record: Record,
    event: What = None,
    by: Who = None,
    reason: Reason = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Show in which state a bundle's revision is, or record an event."""
    from bus.cli import bundles  # noqa: PLC0415 - see bus.cli

    if (event is None) != (by is None):
        raise ConfigurationError("--event and --by go together")
    standing = bundles.standing(
        named, Path(record), event=event, who=by or "", reason=reason
    )

    def show() -> None:
        say(standing.state)
        table(
            ("at", "event", "by", "reason"),
            [(bundles.at(e), e.event, e.who, e.reason) for e in standing.history],
        )

    document = {
        "ok": True,
        "state": standing.state,
        "active": bundles.is_active(standing),
        "history": standing.history,
    }
    emit(document, show, as_json=as_json)
