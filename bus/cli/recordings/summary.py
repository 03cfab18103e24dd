"""What a replay prints: what was let in and what was not, by tool, agent and reason."""

from typing import Any, Final

import msgspec
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from bus.cli.figures import hit_ratio, told_share, totals
from bus.cli.output import printable
from bus.cli.recordings.defaults import OPERATOR, READER, Rules
from bus.cli.recordings.reading import Recording
from bus.cli.recordings.replay import Account, Row
from bus.cli.tables import checks_table, headed, plain_table

_ROWS: Final = 50
_REASONS: Final = 15


class Used(msgspec.Struct, frozen=True):
    """The policy of a replay in words; `rules` where the default data was used."""

    policy: str
    data: str
    rules: Rules | None


def show(console: Console, recording: Recording, account: Account, used: Used) -> None:
    """Print it for a person."""
    parts: list[RenderableType] = [
        _heading(recording, account),
        _sources(recording),
        *headed("Under which policy", _policy(used)),
        *headed("By tool", _rows("tool", account.tools, used.rules)),
        *headed("By agent", _rows("agent", account.agents, None)),
        *_reasons(account),
        *headed("Altogether", _numbers(account)),
        *headed("What the record says", checks_table(account.checks)),
    ]
    for part in parts:
        console.print(part)


def document(recording: Recording, account: Account, used: Used) -> dict[str, Any]:
    """Return the same as one document, with nothing left out."""
    snapshot = account.snapshot
    return {
        "ok": account.ok,
        "sources": recording.sources,
        "policy": used,
        "actions": len(recording.actions),
        **account.endings,
        "delivered": account.delivered,
        "tools": account.tools,
        "agents": account.agents,
        "reasons": account.reasons,
        "seconds": round(account.took_s, 6),
        "per_second": round(_pace(account), 1),
        "messages": totals(snapshot),
        "decisions": snapshot.decisions,
        "cache_hit_ratio": hit_ratio(snapshot.decisions),
        "checks": account.checks,
        "revision": snapshot.revision,
        "constitution": snapshot.constitution,
    }


def _heading(recording: Recording, account: Account) -> Text:
    tenants = {action.tenant for action in recording.actions}
    return Text.assemble(
        ("assent replay", "bold"),
        f"  {len(recording.actions):,} actions of {len(account.agents)} agents in "
        f"{len(tenants)} tenants",
    )


def _sources(recording: Recording) -> Table:
    table = plain_table(("format", "lines", "actions", "empty", "file"))
    for column in table.columns[1:4]:
        column.justify = "right"
    for source in recording.sources:
        first = "" if source.complete else "first "
        table.add_row(
            source.format or "-",
            f"{source.lines:,}",
            f"{first}{source.actions:,}",
            f"{source.without_action:,}",
            Text(printable(source.file)),
        )
    return table


def _policy(used: Used) -> Text:
    text = Text(f"policy: {printable(used.policy)}\ndata:   {printable(used.data)}")
    if used.rules is None:
        return text
    rules = used.rules
    verbs = sorted(set(rules.reading.values()))
    text.append(f"\n  {READER} may use {len(rules.reading)} tools whose first ")
    text.append(f"word reads: {', '.join(verbs) or 'none occur'}")
    text.append(f"\n  {OPERATOR} may use the {len(rules.effect)} others")
    text.append(f"\n  each recorded agent has {' and '.join(rules.roles)}")
    if len(rules.roles) == 1:
        text.append("; --role operator gives both")
    return text


def _rows(name: str, rows: list[Row], rules: Rules | None) -> Table:
    said = () if rules is None else ("its name says",)
    table = plain_table((name, "actions", "allowed", "denied", "other", *said))
    for column in table.columns[1:5]:
        column.justify = "right"
    for row in rows[:_ROWS]:
        allowed, denied = (row.endings.get(e, 0) for e in ("allowed", "denied"))
        counts = (row.actions, allowed, denied, row.actions - allowed - denied)
        table.add_row(
            Text(printable(row.name)),
            *(f"{n:,}" if n else "-" for n in counts),
            *(() if rules is None else (_rule(row.name, rules),)),
        )
    if len(rows) > _ROWS:
        table.add_row(f"and {len(rows) - _ROWS} more; --json has all")
    return table


def _rule(name: str, rules: Rules) -> str:
    if name in rules.reading:
        return f"reads ({rules.reading[name]})"
    if name in rules.effect:
        return f"effect ({rules.effect[name]})"
    return "no tool"


def _reasons(account: Account) -> list[RenderableType]:
    if not account.reasons:
        return []
    table = plain_table(("times", "reason"))
    table.columns[0].justify = "right"
    found = list(account.reasons.items())
    for reason, count in found[:_REASONS]:
        table.add_row(f"{count:,}", Text(printable(reason)))
    if len(found) > _REASONS:
        rest = found[_REASONS:]
        table.add_row(
            f"{sum(count for _, count in rest):,}",
            f"for {len(rest)} other reasons; --json has all",
        )
    return headed("Why not", table)


def _numbers(account: Account) -> Text:
    ended = [
        f"{count:,} {name.replace('_', ' ')}"
        for name, count in account.endings.items()
        if count or name in {"allowed", "denied"}
    ]
    decisions = account.snapshot.decisions
    return Text(
        f"{', '.join(ended)}; {account.delivered:,} delivered\n"
        f"{_pace(account):,.0f} actions/s, start of the cache included; decision "
        f"cache {told_share(hit_ratio(decisions))} of "
        f"{decisions.hits + decisions.misses:,} hit"
    )


def _pace(account: Account) -> float:
    return sum(account.endings.values()) / account.took_s
