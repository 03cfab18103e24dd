"""`assent policy replay`: recorded decisions under another policy, before it is shipped.

Rule: it ends with 0 only if everything that was recorded was read and no decision came
out otherwise; 1 says that some did, 2 that it could not be told.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from bus.cli.output import (
    WRONG_USAGE,
    AsJson,
    ConfigFile,
    Flags,
    complain,
    emit,
    fail,
    say,
    table,
)
from bus.core.limits import (
    REDECIDE_EXAMPLES_DEFAULT,
    REDECIDE_EXAMPLES_MAX,
    REDECIDE_WORKERS_MAX,
)

Candidate = Annotated[
    str | None,
    typer.Option(
        "--bundle", metavar="CANDIDATE", help="A folder of rules or a .tar.gz bundle."
    ),
]
Logs = Annotated[
    list[Path],
    typer.Option("--log", metavar="FILE", help="Recorded decisions; may be repeated."),
]
Data = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Policy data; by default the candidate's own."),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, max=REDECIDE_WORKERS_MAX, help="Processes; by default one a core."
    ),
]
Examples = Annotated[
    int,
    typer.Option(
        min=0, max=REDECIDE_EXAMPLES_MAX, help="Shown of each group of differences."
    ),
]
SkipUnreadable = Annotated[
    bool,
    typer.Option("--skip-unreadable", help="Count lines that are no decision, go on."),
]
_CUT_CHARS: Final = 72


def replay(  # noqa: PLR0913 - one parameter for each option
    logs: Logs,
    bundle: Candidate = None,
    data: Data = None,
    *,
    workers: Workers = None,
    examples: Examples = REDECIDE_EXAMPLES_DEFAULT,
    config: ConfigFile = None,
    flags: Flags = None,
    skip_unreadable: SkipUnreadable = False,
    as_json: AsJson = False,
) -> None:
    """Decide recorded inputs under a candidate policy and list what comes out otherwise.

    Exit code 0 if nothing does, 1 if something does, 2 if it cannot be told.
    """
    from bus.cli import candidates, rules  # noqa: PLC0415 - see bus.cli
    from bus.core.errors import UnavailableError  # noqa: PLC0415 - as above
    from policy.replay import reading, workers as crew  # noqa: PLC0415 - as above

    settings = rules.settings(config, flags)
    count = workers if workers is not None else _cores()
    try:
        candidate = candidates.read(bundle, data, settings)
        plan = crew.Plan(candidate, tuple(logs), count, examples)
        with _progress(reading.size(logs)) as advance:
            made = crew.replay(plan, advance)
    except UnavailableError as error:
        complain(str(error))
        raise typer.Exit(WRONG_USAGE) from None
    wrong = _wrong(made, skip_unreadable=skip_unreadable)
    document = _document(made, wrong)
    emit(document, lambda: _show(document), as_json=as_json)
    if wrong:
        complain(wrong)
        raise typer.Exit(WRONG_USAGE)
    if made.counts.different:
        fail()


def _wrong(made: Any, *, skip_unreadable: bool) -> str:
    """Return why nothing can be told from a replay, or the empty string."""
    counts = made.counts
    if counts.unreadable and not skip_unreadable:
        first = made.unreadable[0]
        return (
            f"{counts.unreadable} lines cannot be read, the first is "
            f"{first.file}:{first.line}: {first.why}"
        )
    if counts.decided:
        return ""
    if not counts.lines:
        return "the log is empty: there is no decision in it"
    return f"none of {counts.lines} lines is a decision that can be made again"


def _document(made: Any, wrong: str) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - see bus.cli

    changes: dict[str, int] = {}
    groups = []
    for kind, group in made.groups.largest_first():
        changes[kind.change] = changes.get(kind.change, 0) + group.count
        groups.append(
            {
                "change": kind.change,
                "rules": [
                    {"rule": rule, "file": file, "line": line}
                    for rule, file, line in kind.rules
                ],
                "gone": kind.gone,
                "new": kind.new,
                "count": group.count,
                "examples": msgspec.to_builtins(group.examples),
            }
        )
    return {
        "ok": not wrong and not made.counts.different,
        "candidate": made.candidate,
        "revisions": made.revisions,
        "reads": made.read,
        "volatile": made.volatile,
        "counts": msgspec.to_builtins(made.counts),
        "changes": changes,
        "groups": groups,
        "hidden": msgspec.to_builtins(made.hidden),
        "unreadable": msgspec.to_builtins(made.unreadable),
    }


def _show(document: dict[str, Any]) -> None:
    counts = document["counts"]
    recorded = ", ".join(
        f"{revision or 'unknown'} ({count})"
        for revision, count in sorted(document["revisions"].items())
    )
    rows = [("candidate", document["candidate"]), ("recorded under", recorded or "-")]
    rows += [(name, count) for name, count in counts.items() if count]
    if document["volatile"]:
        told = ", ".join(document["volatile"])
        rows.append(("differs from run to run", told))
    table(("replay", "found"), rows)
    for group in document["groups"]:
        _show_group(group)
    for lacking in document["hidden"]:
        say(f"not decided {lacking['file']}:{lacking['line']}: no {lacking['why']}")
    for lacking in document["unreadable"]:
        say(f"unreadable {lacking['file']}:{lacking['line']}: {lacking['why']}")


def _show_group(group: dict[str, Any]) -> None:
    from bus.cli.output import printable  # noqa: PLC0415 - see bus.cli

    say(f"\n{group['count']} x {group['change']}")
    for place in group["rules"]:
        say(f"  by {place['rule']} ({place['file']}:{place['line']})")
    for sign, name in (("-", "gone"), ("+", "new")):
        for text in group[name]:
            say(f"  {sign} {printable(text)}")
    for example in group["examples"]:
        message = example["message_id"] or example["decision_id"]
        place = f"{example['file']}:{example['line']}"
        say(f"  e.g. {printable(place)} {printable(message)[:_CUT_CHARS]}")


def _cores() -> int:
    import os  # noqa: PLC0415 - see bus.cli

    return min(len(os.sched_getaffinity(0)), REDECIDE_WORKERS_MAX)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Draw a bar on stderr where that is a terminal."""
    import sys  # noqa: PLC0415 - see bus.cli

    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - slow to import
    from rich.progress import Progress  # noqa: PLC0415 - as above

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replay", total=total)
        yield lambda count: bar.advance(task, count)
