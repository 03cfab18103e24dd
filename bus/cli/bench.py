"""`assent bench`: how fast, how much memory, on this machine; failures are counted.

Rule: with `--json` a command prints one line. It ends non-zero where a message was
lost or a bound that it states was passed.
"""

import json
from typing import Annotated, Any, Final

import msgspec
import typer

from bus.cli.output import CHECK_FAILED, AsJson, complain, say, table
from bus.core.limits import BENCH_MESSAGES_MAX, BENCH_SUBSCRIPTIONS_MAX

Messages = Annotated[
    int,
    typer.Option("--messages", "-n", min=64, max=BENCH_MESSAGES_MAX, help="How many."),
]
Cold = Annotated[bool, typer.Option("--cold", help="Measure without a warm-up.")]
AnyAgent = Annotated[
    bool,
    typer.Option(
        "--any-agent",
        help="Every agent publishes every subject: 100,000 questions, not 10,000.",
    ),
]
Many = Annotated[
    int,
    typer.Option("--many", min=11, max=BENCH_SUBSCRIPTIONS_MAX, help="How many."),
]

_MESSAGES: Final = 200_000
_REQUESTS: Final = 5_000
_SOAK_MESSAGES: Final = 10_000_000
_ROUND_MESSAGES: Final = 20_000
_MANY: Final = 100_000


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(rich_markup_mode=None)
    for command in (memory, roundtrip, start, soak, subscriptions, metering):
        group.command(command.__name__)(command)
    app.add_typer(group, name="bench", help="Measure the bus on this machine.")


def memory(
    messages: Messages = _MESSAGES,
    *,
    cold: Cold = False,
    any_agent: AnyAgent = False,
    as_json: AsJson = False,
) -> None:
    """Publish to handler in one process with everything on."""
    from bus.cli.measures import memory as measures  # noqa: PLC0415 - see bus.cli

    run = measures.Run(messages=messages, cold=cold, any_agent=any_agent)
    figures = measures.measure(run)
    _print(figures, as_json=as_json)
    _require(figures.whole, "not every message was delivered and recorded")


def roundtrip(messages: Messages = _REQUESTS, *, as_json: AsJson = False) -> None:
    """Time a request and its reply on an idle bus."""
    from bus.cli.measures import roundtrip as measures  # noqa: PLC0415 - see bus.cli

    _print(measures.measure(messages), as_json=as_json)


def start(*, as_json: AsJson = False) -> None:
    """Time fresh processes up to their first message."""
    from bus.cli.measures import starting  # noqa: PLC0415 - see bus.cli

    figures = starting.measure()
    _print(figures, as_json=as_json)
    _require(figures.start_s <= figures.start_s_max, "the start took too long")
    _require(figures.import_bus_s <= figures.import_bus_s_max, "so did 'import bus'")


def soak(messages: Messages = _SOAK_MESSAGES, *, as_json: AsJson = False) -> None:
    """Publish for long; memory must not grow after the first tenth."""
    from bus.cli.measures import soak as measures  # noqa: PLC0415 - see bus.cli

    figures = measures.measure(messages)
    _print(figures, as_json=as_json)
    _require(figures.whole, "not every message was delivered and recorded")
    _require(figures.growth_bytes <= figures.growth_bytes_max, "memory grew")


def subscriptions(
    messages: Messages = _ROUND_MESSAGES,
    many: Many = _MANY,
    *,
    as_json: AsJson = False,
) -> None:
    """Compare a publish beside ten subscriptions that do not match and beside many."""
    from bus.cli.measures import crowd  # noqa: PLC0415 - see bus.cli

    figures = crowd.measure(messages, many)
    _print(figures, as_json=as_json)
    _require(figures.ratio <= figures.ratio_max, "a publish pays for strangers")


def metering(messages: Messages = _ROUND_MESSAGES, *, as_json: AsJson = False) -> None:
    """Measure the share of a publish that metering takes."""
    from bus.cli.measures import metering as measures  # noqa: PLC0415 - see bus.cli

    figures = measures.measure(messages)
    _print(figures, as_json=as_json)
    _require(figures.share <= figures.share_max, "metering costs too much")


def _print(figures: msgspec.Struct, *, as_json: bool) -> None:
    document: dict[str, Any] = msgspec.to_builtins(figures)
    if as_json:
        say(json.dumps(document, allow_nan=False))
    else:
        table(("figure", "value"), list(document.items()))


def _require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        complain(otherwise)
        raise typer.Exit(CHECK_FAILED)
