"""`assent demo`: a governed fleet at work on a folder, and an intruder kept out."""

from pathlib import Path
from typing import Annotated

import typer

from bus.cli.output import CHECK_FAILED, AsJson
from bus.core.limits import SURVEY_S_MAX

_WATCHED_S = 4.0
_PAUSE_S = 0.25
_FRAME_S = 0.1

Folder = Annotated[Path, typer.Option(metavar="FOLDER", help="What the fleet surveys.")]
Seconds = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=SURVEY_S_MAX,
        help="Go round for so long; 4 on a terminal, else one round.",
    ),
]
Frame = Annotated[float, typer.Option(min=0.02, max=10.0, help="Between two pictures.")]
Audit = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Keep the audit record there.")
]
Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of a picture.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo")(demo)


def demo(
    folder: Folder = Path(),
    seconds: Seconds = None,
    seconds_per_frame: Frame = _FRAME_S,
    audit: Audit = None,
    *,
    plain: Plain = False,
    as_json: AsJson = False,
) -> None:
    """Watch agents survey a folder while an intruder is kept out.

    Exit code 1 if an attempt got through or the audit record does not agree.
    """
    import sys  # noqa: PLC0415 - as above

    from bus.cli.output import emit  # noqa: PLC0415 - as above
    from bus.cli.running import audit_place, console_on  # noqa: PLC0415 - as above
    from bus.cli.survey import files, run, summary, view  # noqa: PLC0415 - as above

    console = console_on(sys.stdout)
    live = console.is_terminal and not plain and not as_json
    audience: run.Audience = view.Lines(console)
    if as_json:
        audience = view.Silent()
    elif live:
        audience = view.Picture(console, seconds_per_frame)
    if seconds is None:
        seconds = _WATCHED_S if live else 0.0
    listing = files.find(folder)
    with audit_place(audit) as place:
        plan = run.Plan(listing, place, seconds, _PAUSE_S if live else 0.0)
        story = run.demonstrate(plan, audience)
    kept = str(audit) if audit is not None else "not kept; --audit FILE keeps it"
    emit(
        summary.document(listing, story, kept),
        lambda: summary.show(console, listing, story, kept),
        as_json=as_json,
    )
    if not story.ok:
        raise typer.Exit(CHECK_FAILED)
