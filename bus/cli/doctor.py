"""`assent doctor`: what is installed, what is missing and how to get it."""

import typer

from bus.cli.output import AsJson, ConfigFile, Flags, fail


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(
    config: ConfigFile = None, flags: Flags = None, *, as_json: AsJson = False
) -> None:
    """Say what is installed, what is missing and whether the settings hold."""
    from bus.cli import checks, diagnosis  # noqa: PLC0415 - see bus.cli

    made = diagnosis.diagnose(config, flags)
    checks.report(made, as_json=as_json)
    if not checks.passed(made):
        fail()
