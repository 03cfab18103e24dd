"""`assent simulate`: a bus, its store and its recovery under virtual time, by seeds."""

from pathlib import Path
from typing import Annotated

import typer

from bus.cli.output import AsJson, emit, fail, say
from bus.core.limits import SIMULATE_PROCESSES_MAX, SIMULATE_SEEDS_MAX

Seed = Annotated[int, typer.Option(min=0, help="The seed, or the first of them.")]
Seeds = Annotated[
    int,
    typer.Option(min=1, max=SIMULATE_SEEDS_MAX, help="How many, one after the other."),
]
Processes = Annotated[
    int, typer.Option(min=1, max=SIMULATE_PROCESSES_MAX, help="At once.")
]
Trace = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write down what happened; for one seed."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("simulate")(simulate)


def simulate(
    seed: Seed = 0,
    seeds: Seeds = 1,
    processes: Processes = 1,
    trace: Trace = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Break a simulated bus in ways that a seed decides, and check what must hold.

    The same seed does the same again. Exit code 1 if a claim does not hold; the seeds
    that showed it are named.
    """
    from bus.cli.simulation import run  # noqa: PLC0415 - loads the bus

    if trace is not None:
        if seeds != 1:
            raise typer.BadParameter("--trace goes with one seed", param_hint="--trace")
        trace.write_text(run.trace(seed), encoding="utf-8")
    summaries = list(run.run_seeds(seed, seeds, processes))
    failed = sorted((s for s in summaries if not s.ok), key=lambda s: s.seed)
    document = {
        "seeds": len(summaries),
        "failed": [{"seed": s.seed, "reason": s.reason} for s in failed],
        "accepted": sum(s.accepted for s in summaries),
        "handled": sum(s.handled for s in summaries),
        "lives": sum(s.lives for s in summaries),
        "faults": sum(s.faults for s in summaries),
        "digest": summaries[0].digest if seeds == 1 else None,
    }

    def show() -> None:
        say(
            f"{document['seeds']} seeds: {document['accepted']} messages accepted, "
            f"{document['handled']} hand-overs, {document['lives']} lives, "
            f"{document['faults']} faults; {len(failed)} failed"
        )
        for summary in failed:
            say(f"seed {summary.seed}: {summary.reason}")
            say(f"  again: assent simulate --seed {summary.seed}")

    emit(document, show, as_json=as_json)
    if failed:
        fail()
