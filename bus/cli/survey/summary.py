"""How a demonstration ends: tables for a person, or one document for a program."""

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from bus.cli.figures import (
    below_ns,
    hit_ratio,
    told_share,
    told_size,
    told_time,
    totals,
)
from bus.cli.output import printable
from bus.cli.survey.files import Listing
from bus.cli.survey.intruder import Attempt
from bus.cli.survey.run import DATA, Story
from bus.cli.survey.work import KindTotal, Report
from bus.cli.tables import checks_table, headed, plain_table
from bus.core.stats import Snapshot

_KINDS: Final = 8
_SHARES: Final = (0.5, 0.99)


def show(console: Console, listing: Listing, story: Story, kept: str) -> None:
    """Print the summary; `kept` says where the audit record is."""
    parts: list[RenderableType] = [
        _heading(listing, story),
        _kinds(story.report),
        _places(story.report),
        *_troubles(story.report),
        *headed("What the intruder tried", _attempts(story.attempts)),
        *headed("What the bus did", _subjects(story.snapshot)),
        _times(story),
        *headed("What the record says", checks_table(story.checks)),
    ]
    for part in parts:
        console.print(part)
    # Paths to copy: never broken into lines.
    console.print(Text(f"Audit record: {kept}"), soft_wrap=True)
    console.print(Text(f"Policy data to start from: {DATA}"), soft_wrap=True)


def document(listing: Listing, story: Story, kept: str) -> dict[str, Any]:
    """Return the same as one document."""
    snapshot = story.snapshot
    return {
        "ok": story.ok,
        "folder": str(listing.folder),
        "files": {
            "surveyed": len(listing.files),
            "source": listing.source,
            "left_out": listing.left_out,
            "no_files": listing.no_files,
            "folders_unread": listing.unread,
        },
        "rounds": story.rounds,
        "seconds": round(story.took_s, 3),
        "report": story.report,
        "attempts": story.attempts,
        "messages": totals(snapshot),
        "decisions": snapshot.decisions,
        "cache_hit_ratio": hit_ratio(snapshot.decisions),
        "latency_below_ns": {
            f"p{share * 100:g}": below_ns(snapshot.latency_log2_ns, share)
            for share in _SHARES
        },
        "checks": story.checks,
        "audit": kept,
        "policy_data": str(DATA),
        "revision": snapshot.revision,
        "constitution": snapshot.constitution,
    }


def _heading(listing: Listing, story: Story) -> Text:
    name = printable(listing.folder.name or str(listing.folder))
    text = Text.assemble(
        ("assent demo", "bold"),
        f"  {len(listing.files)} files of {name}, {story.rounds} "
        f"{'round' if story.rounds == 1 else 'rounds'}, {story.took_s:.1f} s; "
        f"found by {printable(listing.source)}",
    )
    notes = (
        (listing.left_out, "past the bound: left out"),
        (listing.no_files, "links or deleted: left out"),
        (listing.unread, "folders not read or not reached"),
    )
    for count, said in notes:
        if count:
            text.append(f"\n  {count} {said}", style="yellow")
    text.append("\n")
    return text


def _kinds(report: Report) -> Table:
    table = plain_table(
        ("type", "files", "lines", "size", "functions", "classes"), numbers_from=1
    )
    shown, rest = report.kinds[:_KINDS], report.kinds[_KINDS:]
    if rest:
        shown = [*shown, _sum(f"{len(rest)} more", rest)]
    for kind in shown:
        table.add_row(*_row(kind))
    table.add_row(*(Text(c, style="bold") for c in _row(_sum("all", report.kinds))))
    return table


def _sum(name: str, kinds: Sequence[KindTotal]) -> KindTotal:
    return KindTotal(
        name,
        files=sum(kind.files for kind in kinds),
        binary=sum(kind.binary for kind in kinds),
        size=sum(kind.size for kind in kinds),
        lines=sum(kind.lines for kind in kinds),
        functions=sum(kind.functions for kind in kinds),
        classes=sum(kind.classes for kind in kinds),
    )


def _row(kind: KindTotal) -> tuple[str, ...]:
    counts = (kind.functions, kind.classes)
    return (
        kind.kind,
        f"{kind.files:,}",
        f"{kind.lines:,}" if kind.lines or not kind.size else "-",
        told_size(kind.size),
        *(f"{count:,}" if count else "-" for count in counts),
    )


def _places(report: Report) -> Text:
    lines = [
        f"{'largest' if number == 0 else '':<13} {told_size(place.amount):>9}  "
        f"{printable(place.path)}"
        for number, place in enumerate(report.largest)
    ]
    if report.longest_line is not None:
        place = report.longest_line
        lines.append(
            f"{'longest line':<13} {place.amount:>9,}  {printable(place.path)}"
        )
    return Text("\n".join(["", *lines]))


def _troubles(report: Report) -> list[RenderableType]:
    if not report.lost:
        return []
    lines = [
        Text(f"  {printable(t.path)}: {printable(t.reason)}") for t in report.given_up
    ]
    more = report.lost - len(report.given_up)
    if more:
        lines.append(Text(f"  and {more} more"))
    return [Text(f"\nGiven up: {report.lost}", style="yellow"), *lines]


def _attempts(attempts: Sequence[Attempt]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for attempt in attempts:
        good = attempt.refused
        table.add_row(
            Text("refused" if good else "LET IN", "green" if good else "bold red"),
            attempt.agent,
            attempt.tried,
        )
        why = printable(f"{attempt.by}: {attempt.reason}".removeprefix(": "))
        table.add_row("", "", Text(why, style="dim"))
    return table


def _subjects(snapshot: Snapshot) -> Table:
    columns = (
        "subject", "accepted", "delivered", "dead", "denied", "rejected", "failed", "refused",
    )  # fmt: skip
    table = plain_table(columns, numbers_from=1)
    for stats in sorted(snapshot.subjects, key=lambda s: (-s.accepted, s.template)):
        row = [getattr(stats, name) for name in columns[1:]]
        if any(row):
            table.add_row(stats.template, *(f"{n:,}" if n else "-" for n in row))
    return table


def _times(story: Story) -> Text:
    snapshot = story.snapshot
    p50, p99 = (below_ns(snapshot.latency_log2_ns, share) for share in _SHARES)
    asked = snapshot.decisions.hits + snapshot.decisions.misses
    return Text(
        f"{totals(snapshot).delivered / story.took_s:,.0f} messages/s; latency with "
        f"the work p50 < {told_time(p50)}, p99 < {told_time(p99)}\n"
        f"decision cache: {told_share(hit_ratio(snapshot.decisions))} of {asked:,} hit"
    )
