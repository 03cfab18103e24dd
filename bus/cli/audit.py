"""`assent audit verify|tail`: is the record whole, and what came last."""

from pathlib import Path
from typing import Annotated, Final

import typer

from bus.cli.output import (
    AsJson,
    ConfigFile,
    Flags,
    add_group,
    complain,
    emit,
    fail,
    say,
    table,
)
from bus.core.errors import AuditBrokenError, ConfigurationError
from bus.core.limits import AUDIT_TAIL_MAX

_COUNT: Final = 20
_NO_HEAD: Final = (
    "no head was checked, so records cut off at the end would not be missed; "
    "name the head with --head, or pass --no-head to do without"
)

File = Annotated[
    str | None, typer.Argument(help="The record; the one in the settings if left out.")
]
Head = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Where its head is kept; beside it by default."),
]
NoHead = Annotated[
    bool, typer.Option("--no-head", help="Pass though there is no head to check.")
]
Count = Annotated[
    int, typer.Option("--count", "-n", min=1, max=AUDIT_TAIL_MAX, help="How many.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    add_group(
        app,
        "audit",
        "Check or read the audit record.",
        {"verify": verify, "tail": tail},
    )


def verify(
    file: File = None,
    head: Head = None,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    no_head: NoHead = False,
    as_json: AsJson = False,
) -> None:
    """Check every record, every seal and the head; name the first broken line."""
    from bus.adapters import audit  # noqa: PLC0415 - see bus.cli

    if no_head and head is not None:
        raise ConfigurationError("--head and --no-head contradict each other")
    path, kept = _places(file, head, config, flags)
    try:
        summary = audit.verify(path, kept)
    except AuditBrokenError as error:
        complain(f"{path}: {error}")
        broken = {"ok": False, "line": error.line, "reason": error.reason}
        emit({"file": path, **broken}, lambda: None, as_json=as_json)
        fail()
    passed = summary.head_checked or no_head
    document = {"file": path, "ok": passed, "summary": summary}
    emit(
        document if passed else {**document, "reason": _NO_HEAD},
        lambda: say(
            f"{path}: whole, {summary.records} records in {summary.blocks} blocks, "
            f"{summary.unsealed} not sealed yet, head {summary.head} "
            f"({'checked' if summary.head_checked else 'not checked'})"
        ),
        as_json=as_json,
    )
    if not passed:
        complain(f"{path}: {_NO_HEAD}")
        fail()


def tail(
    file: File = None,
    count: Count = _COUNT,
    config: ConfigFile = None,
    flags: Flags = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the last records, oldest first, without checking them."""
    from bus.adapters import audit  # noqa: PLC0415 - see bus.cli
    from bus.cli.times import utc  # noqa: PLC0415 - see bus.cli

    path, _ = _places(file, None, config, flags)
    entries = audit.tail(path, count)
    columns = ("time (UTC)", "event", "tenant", "agent", "subject", "id", "detail")
    emit(
        {"file": path, "records": entries},
        lambda: table(
            columns,
            [
                (
                    utc(e.time_ns),
                    e.event,
                    e.tenant,
                    e.agent,
                    e.subject,
                    e.id,
                    e.detail,
                )
                for e in entries
            ],
        ),
        as_json=as_json,
    )


def _places(
    file: str | None, head: str | None, config: str | None, flags: list[str] | None
) -> tuple[Path, Path | None]:
    if file is not None:
        return Path(file), Path(head) if head is not None else None
    from bus.cli.settings import loaded  # noqa: PLC0415 - see bus.cli

    settings = loaded(config, flags).settings.audit
    if settings.file is None:
        raise ConfigurationError("no audit file: name one, or set audit.file")
    return settings.file, Path(head) if head is not None else settings.head_file
