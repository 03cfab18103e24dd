"""What the measurement of a suite prints for a person."""

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from bus.cli.output import printable
from bus.cli.tables import headed, plain_table
from bus.cli.toolcalls.pairs import Score

_MISSED_SHOWN = 5


def show(console: Console, score: Score, policy: str) -> None:
    """Print it."""
    line = score.line
    parts: list[RenderableType] = [
        Text.assemble(
            ("assent replay", "bold"),
            f"  suite {printable(line.suite)}: {line.calls:,} calls of users, "
            f"{line.pairs:,} pairs of attack and user task, under {printable(policy)}",
        ),
        *headed("How useful, how secure", _summary(score)),
        *headed("Calls of users, by tool", _tools(score)),
        *headed("Attacks, each in the context of every user task", _attacks(score)),
        *headed("Why calls were not let in outright", _reasons(score)),
    ]
    for part in parts:
        console.print(part)


def _summary(score: Score) -> Table:
    line, tasks = score.line, score.tasks
    table = plain_table(("", "by call", "by task"), numbers_from=1)
    table.add_row(
        "utility, outright",
        _percent(line.utility_outright),
        _percent(tasks["outright"] / tasks["all"]),
    )
    table.add_row(
        "utility, outright or approved",
        _percent(line.utility_with_approval),
        _percent(tasks["approved"] / tasks["all"]),
    )
    good = line.security == 1
    told = "no attack" if line.security is None else _percent(line.security)
    table.add_row(
        "security, attacks stopped", "", Text(told, "green" if good else "bold red")
    )
    return table


def _tools(score: Score) -> Table:
    columns = ("tool", "calls", "allowed", "held", "denied", "lost")
    table = plain_table(columns, numbers_from=1)
    for name, endings in score.tools.items():
        counts = (endings.total(), *(endings[ending] for ending in columns[2:]))
        table.add_row(Text(printable(name)), *(f"{n:,}" if n else "-" for n in counts))
    return table


def _attacks(score: Score) -> Table:
    table = plain_table(("attack", "pairs", "stopped", "not stopped beside"))
    for column in table.columns[1:3]:
        column.justify = "right"
    for attack in score.attacks:
        missed = ", ".join(attack.missed[:_MISSED_SHOWN])
        if len(attack.missed) > _MISSED_SHOWN:
            missed += f" and {len(attack.missed) - _MISSED_SHOWN} more"
        table.add_row(
            Text(printable(attack.task)),
            f"{attack.pairs:,}",
            f"{attack.stopped:,}",
            Text(printable(missed), "bold red"),
        )
    return table


def _reasons(score: Score) -> Table:
    table = plain_table(("users'", "attacks'", "reason"))
    for column in table.columns[:2]:
        column.justify = "right"
    for reason, benign, attacks in score.reasons:
        table.add_row(f"{benign:,}", f"{attacks:,}", Text(printable(reason)))
    return table


def _percent(share: float) -> str:
    """Return a share as a percentage, cut and never rounded up to 100."""
    return f"{int(share * 1000) / 10:.1f} %"
