"""`assent replay`: recorded agent actions through the bus, under a policy of choice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from bus.cli.output import CHECK_FAILED, AsJson
from bus.core.errors import UsageError
from bus.core.limits import REPLAY_ACTIONS_MAX

Files = Annotated[
    list[Path],
    typer.Argument(help="Recordings, replayed in order, or folders of suites."),
]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="FILE", help="Policy data, .json or .toml."),
]
Policy = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FOLDER",
        help="Rego instead of the built-in, or the name of an example: toolcalls.",
    ),
]
Role = Annotated[
    str | None,
    typer.Option("--role", help="reader or operator; for the default data only."),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, max=REPLAY_ACTIONS_MAX, help="Only the first ones."),
]
Audit = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Keep the audit record there.")
]
ShowData = Annotated[
    bool,
    typer.Option("--show-data", help="Print the default policy data; replay nothing."),
]
Prepare = Annotated[
    bool,
    typer.Option(
        "--prepare", help="Write the policy data of one suite; judge nothing."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Where --prepare writes; else stdout."),
]
_OPTIONS: Final = (
    "--policy",
    "--data",
    "--audit",
    "--role",
    "--limit",
    "--show-data",
    "--out",
)
_OF_SUITES: Final = {"--policy", "--data", "--audit"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(  # noqa: PLR0913, PLR0917 - one parameter for each option
    files: Files,
    data: Data = None,
    policy: Policy = None,
    role: Role = None,
    limit: Limit = None,
    audit: Audit = None,
    out: Out = None,
    *,
    prepare: Prepare = False,
    show_data: ShowData = False,
    as_json: AsJson = False,
) -> None:
    """Replay recorded agent actions under a policy.

    Each is sent as a message of the agent that made it; no tool is run. Exit code 1 if any action is unaccounted for. A denial is an account. Of a suite's folder, utility and security of a policy for tool calls are measured.
    """
    suites = any(file.is_dir() for file in files)
    given = (policy, data, audit, role, limit, show_data or None, out)
    _check(dict(zip(_OPTIONS, given, strict=True)), prepare=prepare, suites=suites)
    if prepare or suites:
        _suites(files, (policy, data, audit, out), prepare=prepare, as_json=as_json)
        return
    import sys  # noqa: PLC0415 - see bus.cli

    from bus.cli.output import emit  # noqa: PLC0415 - as above
    from bus.cli.recordings import choice, reading, summary  # noqa: PLC0415 - as above
    from bus.cli.recordings.replay import Plan, replay as play  # noqa: PLC0415 - as above
    from bus.cli.running import audit_place, console_on  # noqa: PLC0415 - as above
    from bus.cli.toolcalls.measuring import place_of  # noqa: PLC0415 - as above

    policy = place_of(policy)
    asked = choice.Asked(data, policy, role)
    recording = reading.read(files, limit)
    chosen = choice.choose(asked, recording.actions)
    if show_data:
        emit(chosen.data, lambda: None, as_json=True)
        return
    with audit_place(audit) as place:
        plan = Plan(recording.actions, chosen.data, policy, place)
        account = play(plan)
    emit(
        summary.document(recording, account, chosen.used),
        lambda: summary.show(console_on(sys.stdout), recording, account, chosen.used),
        as_json=as_json,
    )
    if not account.ok:
        raise typer.Exit(CHECK_FAILED)


def _check(given: Mapping[str, object], *, prepare: bool, suites: bool) -> None:
    """Raise `UsageError` if an option was given that nothing would heed."""
    if prepare:
        heeded, why = {"--out"}, "--prepare writes a suite's data and judges nothing"
    elif suites:
        heeded, why = _OF_SUITES, "a suite is measured whole, as its own agent"
    else:
        heeded, why = set(given) - {"--out"}, "only --prepare writes a file"
    wrong = [name for name in given if name not in heeded and given[name] is not None]
    if wrong:
        raise UsageError(f"{', '.join(wrong)}: not used, for {why}")


def _suites(
    folders: list[Path],
    places: tuple[Path | None, Path | None, Path | None, Path | None],
    *,
    prepare: bool,
    as_json: bool,
) -> None:
    """Prepare one suite's data, or measure suites; `places` as the options' order is."""
    from bus.cli.toolcalls import measuring  # noqa: PLC0415 - see bus.cli

    policy, data, audit, out = places
    if prepare:
        measuring.prepare(folders, out)
    else:
        asked = measuring.Asked(policy, data, audit)
        measuring.measure(folders, asked, as_json=as_json)
