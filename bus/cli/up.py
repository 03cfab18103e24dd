"""`assent up`: a bus with its endpoint, until it is told to stop."""

import typer

from bus.cli.output import AsJson, ConfigFile, Flags


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    config: ConfigFile = None, flags: Flags = None, *, as_json: AsJson = False
) -> None:
    """Run the bus and serve health and metrics until SIGINT or SIGTERM.

    It then takes no more, finishes what is under way and stops; a second signal does
    not wait for that.
    """
    from bus.cli import serving  # noqa: PLC0415 - see bus.cli
    from bus.cli.settings import loaded  # noqa: PLC0415 - see bus.cli

    settings = loaded(config, flags).settings
    serving.run(settings, lambda up: serving.announce(up, as_json=as_json))
