"""`assent up`: a node, until it is told to stop."""

import typer

from bus.cli.output import AsJson, ConfigFile, Flags


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("up")(up)


def up(
    config: ConfigFile = None, flags: Flags = None, *, as_json: AsJson = False
) -> None:
    """Run a node until SIGINT or SIGTERM: agents, operators and browsers reach it.

    What the settings do not name is kept in the folder `node.folder`, ./assent-data; the
    first time, it makes what it needs there and shows an admin token. Told to stop, it
    takes no more, finishes what is under way and stops; a second signal does not wait.
    """
    from bus.cli import serving  # noqa: PLC0415 - see bus.cli
    from bus.cli.settings import loaded  # noqa: PLC0415 - see bus.cli

    given = loaded(config, flags)
    serving.run(given, lambda up: serving.announce(up, as_json=as_json))
